//! How findings read at `kubectl apply`: one message for a refusal, one warning each otherwise.

use super::review::Finding;

/// The API server shortens every warning of an answer to 256 characters, in the middle of a
/// sentence, once all together have more than 4096. Below it they pass as they are.
const WARNINGS_LIMIT: usize = 4000;
/// What the last line says of those that were left out.
const LEFT_OUT: &str = "more; `nuncio check` tells them all";
/// Errors in one refusal; who has more has one mistake many times.
const ERRORS_LIMIT: usize = 20;

/// The message of a refusal. `place` names the annotation, if the findings stand in one.
pub(super) fn as_denial(errors: &[&Finding], place: Option<&str>) -> String {
    let mut lines: Vec<String> =
        errors.iter().take(ERRORS_LIMIT).map(|error| line(error, place)).collect();
    if let Some(more) = errors.len().checked_sub(ERRORS_LIMIT).filter(|more| *more > 0) {
        lines.push(format!("{more} {LEFT_OUT}"));
    }
    lines.join("\n")
}

/// The warnings, one each. An error among them says that it costs the object.
pub(super) fn as_warnings(findings: &[&Finding], place: Option<&str>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut length = 0;
    for (index, finding) in findings.iter().enumerate() {
        let text = match finding.severity.is_fatal() {
            true => format!("not served: {}", line(finding, place)),
            false => line(finding, place),
        };
        let text = without_controls(&text);
        length += text.chars().count();
        if length > WARNINGS_LIMIT {
            warnings.push(format!("{} {LEFT_OUT}", findings.len() - index));
            break;
        }
        warnings.push(text);
    }
    warnings
}

fn line(finding: &Finding, place: Option<&str>) -> String {
    match (place, finding.location) {
        (Some(place), Some(at)) => format!("{place} {at}: {}", finding.text),
        (Some(place), None) => format!("{place}: {}", finding.text),
        (None, _) => finding.text.clone(),
    }
}

/// The API server drops a warning that has a control character without a word.
fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::{Location, Severity};

    fn finding(severity: Severity, text: &str) -> Finding {
        let location = Some(Location { line: 3, column: 9 });
        Finding { severity, location, text: text.to_owned() }
    }

    #[test]
    fn places_are_told_in_annotations_only() {
        let (error, warning) =
            (finding(Severity::Error, "a: b"), finding(Severity::Warning, "c\nd"));
        assert_eq!(as_denial(&[&error, &error], None), "a: b\na: b");
        assert_eq!(as_denial(&[&error], Some("note")), "note line 3 column 9: a: b");
        assert_eq!(
            as_warnings(&[&error, &warning], Some("note")),
            ["not served: note line 3 column 9: a: b", "note line 3 column 9: c d"]
        );
    }

    #[test]
    fn many_are_cut_between_two() {
        let error = finding(Severity::Error, &"x".repeat(300));
        let many = vec![&error; 50];
        let warnings = as_warnings(&many, None);
        let (last, told) = warnings.split_last().unwrap();
        assert!(told.iter().all(|text| text.len() > 300));
        assert_eq!(last, &format!("{} {LEFT_OUT}", 50 - told.len()));
        assert!(warnings.iter().map(|text| text.chars().count()).sum::<usize>() < 4096);
        let denial = as_denial(&many, None);
        assert_eq!(denial.lines().count(), ERRORS_LIMIT + 1);
        assert!(denial.ends_with(&format!("30 {LEFT_OUT}")), "{denial}");
    }
}
