use super::*;

#[test]
fn days_of_the_calendar() {
    for (days, expected) in [
        (0, (1970, 1, 1)),
        (59, (1970, 3, 1)),
        (11_016, (2000, 2, 29)),
        (11_017, (2000, 3, 1)),
        (20_780, (2026, 11, 23)),
    ] {
        assert_eq!(civil(days), expected, "{days}");
    }
}

#[test]
fn times_are_rfc_3339() {
    let mut out = Vec::new();
    write_time(&mut out, std::time::UNIX_EPOCH + Duration::from_millis(1_795_392_005_007));
    assert_eq!(String::from_utf8_lossy(&out), "2026-11-23T00:00:05.007Z");
}

#[test]
fn all_formats_compile() {
    let format = LogFormat::build(AccessLogFormat::Text, None);
    let names: Vec<&str> = format.request_headers.iter().map(HeaderName::as_str).collect();
    assert_eq!(names, ["x-envoy-original-path", "x-forwarded-for", "user-agent", "x-request-id"]);
    assert_eq!(format.response_headers.len(), 1);
    assert_eq!(LogFormat::build(AccessLogFormat::Json, None).request_headers.len(), 4);
}
