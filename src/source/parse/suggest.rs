//! "Did you mean …?"

/// Names longer than this are compared no further.
const MAX_LENGTH: usize = 40;

/// The candidate that differs from `name` by a few letters only.
pub(super) fn closest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let simple = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let lower = simple(name);
    if lower.len() > MAX_LENGTH {
        return None;
    }
    // The unit is what people forget: `timeout` for `timeout_ms`.
    let with_unit = format!("{lower}_ms");
    candidates
        .map(|candidate| match candidate == with_unit {
            true => (1, candidate),
            false => (distance(&lower, &simple(candidate)), candidate),
        })
        // A third of the letters: beyond that it is another word.
        .filter(|(distance, candidate)| *distance <= 2.min(candidate.len() / 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised() {
        let known = ["prefix", "prefix_regex", "service", "tls", "timeout_ms"];
        for (name, expected) in [
            ("prefx", Some("prefix")),
            ("timeout", Some("timeout_ms")),
            ("prefix-regex", Some("prefix_regex")),
            ("Service", Some("service")),
            ("sevrice", Some("service")),
            ("deadline", None),
            ("tl", Some("tls")),
            ("x", None),
            ("", None),
            ("weight", None),
        ] {
            assert_eq!(closest(name, known.into_iter()), expected, "{name}");
        }
    }
}
