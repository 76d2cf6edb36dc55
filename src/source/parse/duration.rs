//! Spans of time as texts: Go's form (`1m30s`, `250ms`), of which Envoy's (`0.25s`) is a part.

use std::time::Duration;

use crate::model::object::Severity;

use super::fields::{Field, Problems};

/// Longer spans are a slip of the pen, and would overflow clocks.
const MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The units with their nanoseconds, the longer names first.
const UNITS: [(&str, f64); 7] =
    [("ms", 1e6), ("us", 1e3), ("µs", 1e3), ("ns", 1.0), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// The span that a text says; `None` where it says none, or a negative one.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let (unit, factor) = UNITS.into_iter().find(|(unit, _)| after.starts_with(unit))?;
        nanos += number.parse::<f64>().ok()? * factor;
        rest = &after[unit.len()..];
    }
    if nanos > MAX.as_secs_f64() * 1e9 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded above, and made of what has no sign"
    )]
    Some(Duration::from_nanos(nanos.round() as u64))
}

/// The span of a field; what is wrong with it is told, and it is left out. `zero` says whether
/// nothing is a span, too.
pub(super) fn duration_of(
    field: &Field<'_>,
    zero: bool,
    problems: &mut Problems,
) -> Option<Duration> {
    let text = field.text(Severity::Warning, problems)?;
    match parse_duration(text) {
        Some(Duration::ZERO) if !zero => {}
        Some(duration) => return Some(duration),
        None => {}
    }
    let message = format!("\"{text}\" is not a span of time; write one like \"0.25s\" or \"1m\"");
    problems.add(Severity::Warning, field, message);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_go_s() {
        for (text, millis) in [
            ("0.25s", Some(250)),
            ("250ms", Some(250)),
            ("1m30s", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("1.5h1ms", Some(5_400_001)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1 s", None),
            ("1d", None),
            ("99999999999999h", None),
        ] {
            let expected = millis.map(Duration::from_millis);
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }
}
