//! docs/reference/cli.md: what `--help` says.

use std::process::Command;

use crate::assert_generated;

const COMMANDS: &[&str] =
    &["run", "serve", "demo", "check", "explain", "ready", "crds", "migrate-storage", "completion"];

#[test]
fn the_reference_is_the_help() {
    let mut text = format!(
        "# Command line\n\n<!-- Generated from `nuncio --help` by `make docs`. -->\n\n\
         ```text\n{}```\n",
        help(&["--help"])
    );
    for command in COMMANDS {
        let help = help(&[command, "--help"]);
        text.push_str(&format!("\n## nuncio {command}\n\n```text\n{help}```\n"));
    }
    assert_generated("docs/reference/cli.md", &text);
}

#[test]
fn every_command_is_described() {
    let text = help(&["--help"]);
    let listed: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A description that is wrapped goes on further to the right.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert_eq!(listed, COMMANDS);
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_nuncio"))
        .args(arguments)
        .env_clear()
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
