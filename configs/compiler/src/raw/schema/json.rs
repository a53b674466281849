//! The schema as JSON Schema (draft 2020-12), for editors that complete and check TOML.

use serde_json::{Map, Value, json};

use super::{Field, Kind, Presence, ROOT, Table};

/// The JSON Schema of system files. What depends on other fields is left to the compiler.
pub fn json_schema() -> Value {
    let mut tables = vec![&ROOT];
    let mut definitions = Map::new();
    // Each table once, in the order in which the file's tables lead to them.
    let mut next = 0;
    while let Some(table) = tables.get(next).copied() {
        next += 1;
        for field in table.fields {
            collect(&field.kind, &mut tables);
        }
        definitions.insert(table.name.to_owned(), definition(table));
    }
    definitions.remove(ROOT.name);
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".to_owned(), json!("Bulkhead system file"));
    if let Value::Object(root) = definition(&ROOT) {
        schema.extend(root);
    }
    schema.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

fn collect(kind: &'static Kind, tables: &mut Vec<&'static Table>) {
    match kind {
        Kind::Table(table) | Kind::Named(table)
            if !tables.iter().any(|known| known.name == table.name) =>
        {
            tables.push(table);
        }
        Kind::List(of) => collect(of, tables),
        Kind::OneOf(kinds) => kinds.iter().for_each(|kind| collect(kind, tables)),
        _ => {}
    }
}

fn definition(table: &Table) -> Value {
    let properties: Map<String, Value> = table
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), property(field)))
        .collect();
    let required: Vec<&str> = table
        .fields
        .iter()
        .filter(|field| field.presence == Presence::Required)
        .map(|field| field.name)
        .collect();
    json!({
        "type": "object",
        "description": table.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(field: &Field) -> Value {
    let mut property = Map::new();
    property.insert("description".to_owned(), json!(field.doc));
    if let Presence::Default(default) = field.presence
        && let Some(default) = from_toml(default)
    {
        property.insert("default".to_owned(), default);
    }
    if let Some(example) = from_toml(field.example) {
        property.insert("examples".to_owned(), json!([example]));
    }
    if let Value::Object(form) = form(&field.kind) {
        property.extend(form);
    }
    Value::Object(property)
}

/// What values of a kind look like.
fn form(kind: &Kind) -> Value {
    match kind {
        Kind::Text(_) => json!({ "type": "string" }),
        Kind::Name => json!({ "type": "string", "pattern": "^[a-z0-9-]{1,15}$" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Number { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Size => {
            json!({ "type": "string", "pattern": "^([0-9][0-9_]* *(KiB|MiB|GiB|TiB)|0x[0-9a-fA-F_]+)$" })
        }
        Kind::Address => json!({ "type": "string", "pattern": "^0x[0-9a-fA-F_]+$" }),
        Kind::Time { .. } => {
            json!({ "type": "string", "pattern": "^[0-9][0-9_]*([.][0-9]+)? *(ns|us|ms|s|min|h)$" })
        }
        Kind::Frequency => {
            json!({ "type": "string", "pattern": "^[0-9][0-9_]*([.][0-9]+)? *(Hz|kHz|MHz|GHz)$" })
        }
        Kind::Word(words) => {
            let each = words
                .iter()
                .map(|word| json!({ "const": word.text, "description": word.doc }));
            json!({ "anyOf": each.collect::<Vec<_>>() })
        }
        Kind::Table(table) => json!({ "$ref": format!("#/$defs/{}", table.name) }),
        Kind::Named(table) => json!({
            "type": "object",
            "propertyNames": form(&Kind::Name),
            "additionalProperties": form(&Kind::Table(table)),
        }),
        Kind::List(of) => json!({ "type": "array", "items": form(of) }),
        Kind::OneOf(kinds) => json!({ "anyOf": kinds.iter().map(form).collect::<Vec<_>>() }),
    }
}

/// A TOML value as JSON.
fn from_toml(text: &str) -> Option<Value> {
    let document: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
    serde_json::to_value(document.get("value")?).ok()
}
