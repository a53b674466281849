//! As much of JSON Schema (draft 2020-12) as the generated schema uses. A keyword that it does not know is an error.

use regex::Regex;
use serde_json::Value;

/// Why `value` does not suit `schema`, each reason with its path.
pub fn faults(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fault = |text: String| found.push(format!("{path}: {text}"));
    let mut deeper = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "examples" => {}
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                deeper.extend(faults(root, &root["$defs"][name], value, path));
            }
            "type" => {
                let suits = match rule.as_str().unwrap() {
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    other => panic!("unknown type {other}"),
                };
                if !suits {
                    fault(format!("is no {rule}"));
                }
            }
            "const" => {
                if value != rule {
                    fault(format!("is not {rule}"));
                }
            }
            "pattern" => {
                let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    fault(format!("{value} does not match {rule}"));
                }
            }
            "minimum" => {
                if value.as_i64() < rule.as_i64() {
                    fault(format!("is below {rule}"));
                }
            }
            "maximum" => {
                if value.as_i64() > rule.as_i64() {
                    fault(format!("is above {rule}"));
                }
            }
            "anyOf" => {
                let each = rule.as_array().unwrap().iter();
                let all: Vec<_> = each.map(|one| faults(root, one, value, path)).collect();
                if !all.iter().any(Vec::is_empty) {
                    deeper.extend(all.into_iter().flatten());
                }
            }
            "items" => {
                for (index, element) in value.as_array().into_iter().flatten().enumerate() {
                    deeper.extend(faults(root, rule, element, &format!("{path}[{index}]")));
                }
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        fault(format!("has no {name}"));
                    }
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        deeper.extend(faults(root, rule, value, &format!("{path}.{name}")));
                    }
                }
            }
            "propertyNames" => {
                for name in value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name)
                {
                    let name = Value::from(name.as_str());
                    deeper.extend(faults(root, rule, &name, path));
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    match rule {
                        Value::Bool(false) => fault(format!("has unknown {name}")),
                        rule => deeper.extend(faults(root, rule, value, &format!("{path}.{name}"))),
                    }
                }
            }
            other => panic!("unknown keyword {other}"),
        }
    }
    found.extend(deeper);
    found
}
