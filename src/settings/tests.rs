use super::*;

fn parse(flags: &Flags, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let environment =
        variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Settings::parse(flags, environment, 4)
}

#[test]
fn defaults_are_emissarys() {
    let settings = parse(&Flags::default(), &[("HOSTNAME", "pod-1")]).unwrap();
    assert_eq!(settings.ambassador_id, "default");
    assert_eq!(settings.namespace, "default");
    assert!(!settings.single_namespace);
    assert_eq!(settings.admin.to_string(), "0.0.0.0:8877");
    assert_eq!((settings.http_port, settings.workers), (8080, 4));
    assert_eq!((settings.log_level, settings.log_format), (Level::Info, Format::Text));
    assert_eq!(settings.identity, "pod-1");
    assert_eq!(settings.parsing().pod.as_deref(), Some("pod-1"));
    assert_eq!(settings.defaults(true).zone, OwnZone::Found);
    let without = parse(&Flags::default(), &[("NUNCIO_ZONE", "None")]).unwrap();
    assert_eq!(without.zone, OwnZone::Ignored);
    assert_eq!(settings.defaults(true).ambassador_id, "default");
}

#[test]
fn variables_are_read_and_flags_beat_them() {
    let variables = [
        ("AMBASSADOR_ID", "edge"),
        ("AMBASSADOR_SINGLE_NAMESPACE", "false"),
        ("AMBASSADOR_HEALTHCHECK_BIND_ADDRESS", "::1"),
        ("AMBASSADOR_HEALTHCHECK_BIND_PORT", "9000"),
        ("AMBASSADOR_DRAIN_TIME", " 7 "),
        ("AMBASSADOR_JSON_LOGGING", "1"),
        ("AMBASSADOR_DEBUG", "entrypoint-trace"),
        ("ENVOY_CONCURRENCY", "0"),
        ("NUNCIO_UPSTREAM_TLS_VERIFY", "require"),
        ("NUNCIO_ZONE", "eu-1a"),
        ("AMBASSADOR_SNAPSHOT_COUNT", "4"),
    ];
    let settings = parse(&Flags::default(), &variables).unwrap();
    assert_eq!(settings.ambassador_id, "edge");
    assert!(settings.single_namespace, "any text turns it on");
    assert_eq!(settings.admin.to_string(), "[::1]:9000");
    assert_eq!(settings.drain_time, Duration::from_secs(7));
    assert_eq!((settings.log_level, settings.log_format), (Level::Debug, Format::Json));
    assert_eq!(settings.workers, 4);
    assert!(settings.verify_upstreams);
    assert_eq!(settings.defaults(true).zone, OwnZone::Named("eu-1a".into()));
    assert_eq!(settings.variables_without_effect(), ["AMBASSADOR_SNAPSHOT_COUNT"]);

    let flags = Flags {
        admin_port: Some(1),
        workers: Some(2),
        log_level: Some(Level::Trace),
        ..Flags::default()
    };
    let settings = parse(&flags, &variables).unwrap();
    assert_eq!((settings.admin.port(), settings.workers), (1, 2));
    assert_eq!(settings.log_level, Level::Trace);
}

#[test]
fn every_bad_value_is_told() {
    let error = parse(
        &Flags::default(),
        &[
            ("AES_LOG_LEVEL", "loud"),
            ("AMBASSADOR_DRAIN_TIME", "-1"),
            ("AMBASSADOR_ENVOY_BIND_ADDRESS", "localhost"),
            ("AMBASSADOR_HEALTHCHECK_BIND_PORT", "70000"),
            ("AMBASSADOR_JSON_LOGGING", "perhaps"),
            ("ENVOY_CONCURRENCY", "many"),
            ("NUNCIO_UPSTREAM_TLS_VERIFY", "yes"),
        ],
    )
    .unwrap_err()
    .to_string();
    assert_eq!(error.lines().count(), 7, "{error}");
    assert!(error.contains(r#"AES_LOG_LEVEL="loud": must be one of error, warn"#), "{error}");
}
