//! Runs other programs.

use std::io::{IsTerminal, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Lines of a failed program's output that are shown.
const SHOWN: usize = 60;

/// Runs `command` without input. Its output is shown as it comes on a terminal, and otherwise only when it fails.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let text = describe(command);
    command.stdin(Stdio::null());
    if std::io::stderr().is_terminal() {
        let status = command
            .status()
            .with_context(|| format!("cannot start `{text}`"))?;
        return check(status, &text, "");
    }
    let output = command
        .output()
        .with_context(|| format!("cannot start `{text}`"))?;
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stdout));
    check(output.status, &text, &said)
}

/// What `command` prints on standard output.
///
/// # Errors
/// It cannot be started, or fails.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let text = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{text}`"))?;
    check(
        output.status,
        &text,
        &String::from_utf8_lossy(&output.stderr),
    )?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` without input and kills it after `limit`.
///
/// # Errors
/// It cannot be started, fails, or takes longer.
pub fn run_limited(command: &mut Command, limit: Duration) -> anyhow::Result<()> {
    let text = describe(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    let errors = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut errors) = errors {
            // What was read until the pipe broke is all there is to show.
            let _ = errors.read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).into_owned()
    });
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return check(status, &text, &reader.join().unwrap_or_default());
        }
        if Instant::now() >= deadline {
            // Either may fail only because it has just ended.
            let _ = child.kill();
            let _ = child.wait();
            bail!("`{text}` took longer than {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn check(status: ExitStatus, text: &str, said: &str) -> anyhow::Result<()> {
    if status.success() {
        return Ok(());
    }
    let lines: Vec<&str> = said.lines().collect();
    let shown = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
    bail!("`{text}` failed ({status})\n{shown}");
}

fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_program_is_named_with_what_it_said() {
        let error = run_limited(
            Command::new("sh").args(["-c", "echo reason >&2; exit 3"]),
            Duration::from_secs(10),
        );
        let text = error.expect_err("exit status 3").to_string();
        assert!(text.contains("sh -c") && text.contains("reason"), "{text}");
    }

    #[test]
    fn program_over_its_time_limit_is_killed() {
        let start = Instant::now();
        let error = run_limited(Command::new("sleep").arg("30"), Duration::from_millis(200));
        assert!(
            error
                .expect_err("time limit")
                .to_string()
                .contains("took longer")
        );
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn program_that_does_not_exist_is_an_error() {
        assert!(run(&mut Command::new("no-such-program-of-bulkhead")).is_err());
    }
}
