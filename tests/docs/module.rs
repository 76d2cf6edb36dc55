//! docs/reference/module.md: the keys of Module `ambassador`, from the table that the parser goes
//! by.

use std::fmt::Write as _;

use nuncio::source::parse::{Effect, module_keys};

use crate::assert_generated;

const PATH: &str = "docs/reference/module.md";

const HEAD: &str = "\
# Module

<!-- Generated from src/source/parse/module/keys.rs by `make docs`. -->

The keys of `spec.config` of the Module named `ambassador`. They hold for the whole gateway, from
the next request on; what concerns connections (`max_request_headers_kb`, `proper_case`,
`buffer_limit_bytes`) from the next connection on.

A wrong key costs itself only, and is told in the Module's status. Keys of `ip_allow` and `ip_deny`
that can't be read close the gateway: 403 for everybody, until they are put right.

Modules of other names have no effect. What used to be Module `tls` is said by Hosts and
TLSContexts, what used to be Module `authentication` by an AuthService.
";

#[test]
fn the_reference_is_the_parsers() {
    let mut effective = String::new();
    let mut idle = String::new();
    for (prefix, key) in module_keys() {
        let name = key.name;
        let _ = match key.effect {
            Effect::Same(about) => writeln!(effective, "| `{prefix}{name}` | {about} | |"),
            Effect::Better(about, difference) => {
                writeln!(effective, "| `{prefix}{name}` | {about} | {difference} |")
            }
            Effect::None(why) => writeln!(idle, "| `{prefix}{name}` | {why} |"),
        };
    }
    let text = format!(
        "{HEAD}\n## Keys with an effect\n\n| key | what it does | unlike Emissary |\n|---|---|---|\n\
         {effective}\n## Keys without effect\n\nThey are read and told in the status.\n\n\
         | key | why, and what to do instead |\n|---|---|\n{idle}"
    );
    assert_generated(PATH, &text);
}
