//! The settings of the admission webhook: variables only, since the chart sets them.

use super::reader::Reader;

/// Above 1024, beside the ports of the proxy.
const PORT: u16 = 8444;

/// How the admission webhook is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// `NUNCIO_ADMISSION_PORT`.
    pub port: u16,
    /// `NUNCIO_ADMISSION_SERVICE`: the Service that the API server calls. Setting it turns the
    /// webhook on.
    pub service: String,
    /// `NUNCIO_ADMISSION_SECRET`: where the certificate is kept; default `SERVICE-certificate`.
    pub secret: String,
    /// `NUNCIO_ADMISSION_WEBHOOK`: the ValidatingWebhookConfiguration; default: as the Service.
    pub webhook: String,
    /// `NUNCIO_ADMISSION_CERTIFICATE`.
    pub certificate: CertificateSource,
    /// `NUNCIO_ADMISSION_ANNOTATIONS`.
    pub annotations: AnnotationPolicy,
    /// `NUNCIO_CONVERSION`: whether definitions may name the Service to convert between versions,
    /// so that they have to trust its certificate.
    pub conversion: bool,
}

/// Who sees to the webhook's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateSource {
    /// The gateway itself.
    Own,
    /// Somebody who writes the Secret and the webhook configuration, as cert-manager does.
    External,
}

/// What becomes of a bad document in an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnotationPolicy {
    /// Whoever applies it is warned. The default: an annotation sits on a Service, which matters
    /// to more than the gateway.
    Warn,
    /// The Service or Ingress is refused.
    Deny,
}

impl AdmissionSettings {
    pub(super) fn parse(read: &mut Reader<'_>) -> Option<Self> {
        // For a Service `nuncio-admission` Kubernetes itself sets this variable in pods, to a link.
        let parse = |text: &str| match text.starts_with("tcp://") {
            true => Some(PORT),
            false => text.parse().ok(),
        };
        let port = read.parsed("NUNCIO_ADMISSION_PORT", "a port, 0 to 65535", parse);
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "own" => Some(CertificateSource::Own),
            "external" => Some(CertificateSource::External),
            _ => None,
        };
        let certificate = read.parsed("NUNCIO_ADMISSION_CERTIFICATE", "own or external", parse);
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "warn" => Some(AnnotationPolicy::Warn),
            "deny" => Some(AnnotationPolicy::Deny),
            _ => None,
        };
        let annotations = read.parsed("NUNCIO_ADMISSION_ANNOTATIONS", "Warn or Deny", parse);
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        let conversion = read.parsed("NUNCIO_CONVERSION", "true or false", parse);
        let service = read.text("NUNCIO_ADMISSION_SERVICE")?;
        let secret = read.text("NUNCIO_ADMISSION_SECRET").map(str::to_owned);
        Some(Self {
            port: port.unwrap_or(PORT),
            service: service.to_owned(),
            secret: secret.unwrap_or_else(|| format!("{service}-certificate")),
            webhook: read.text("NUNCIO_ADMISSION_WEBHOOK").unwrap_or(service).to_owned(),
            certificate: certificate.unwrap_or(CertificateSource::Own),
            annotations: annotations.unwrap_or(AnnotationPolicy::Warn),
            conversion: conversion.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, Settings, SettingsError};
    use super::*;

    fn parse(variables: &[(&str, &str)]) -> Result<Option<AdmissionSettings>, SettingsError> {
        let environment =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Settings::parse(&Flags::default(), environment, 1).map(|settings| settings.admission)
    }

    #[test]
    fn the_service_turns_it_on() {
        assert_eq!(parse(&[("NUNCIO_ADMISSION_PORT", "9443")]), Ok(None));
        let on = parse(&[("NUNCIO_ADMISSION_SERVICE", "edge-admission")]).unwrap().unwrap();
        assert_eq!(
            on,
            AdmissionSettings {
                port: 8444,
                service: "edge-admission".into(),
                secret: "edge-admission-certificate".into(),
                webhook: "edge-admission".into(),
                certificate: CertificateSource::Own,
                annotations: AnnotationPolicy::Warn,
                conversion: false,
            }
        );
        let linked = [
            ("NUNCIO_ADMISSION_SERVICE", "nuncio-admission"),
            ("NUNCIO_ADMISSION_PORT", "tcp://10.96.102.176:443"),
        ];
        assert_eq!(parse(&linked).unwrap().unwrap().port, 8444);
        let all = [
            ("NUNCIO_ADMISSION_SERVICE", "a"),
            ("NUNCIO_ADMISSION_PORT", "9443"),
            ("NUNCIO_ADMISSION_SECRET", "b"),
            ("NUNCIO_ADMISSION_WEBHOOK", "c"),
            ("NUNCIO_ADMISSION_CERTIFICATE", "external"),
            ("NUNCIO_ADMISSION_ANNOTATIONS", "Deny"),
            ("NUNCIO_CONVERSION", "true"),
        ];
        let all = parse(&all).unwrap().unwrap();
        assert_eq!((all.port, &*all.secret, &*all.webhook), (9443, "b", "c"));
        assert_eq!(all.certificate, CertificateSource::External);
        assert_eq!(all.annotations, AnnotationPolicy::Deny);
        assert!(all.conversion);
    }

    #[test]
    fn bad_values_are_told() {
        let error = parse(&[
            ("NUNCIO_ADMISSION_PORT", "https"),
            ("NUNCIO_ADMISSION_CERTIFICATE", "mine"),
            ("NUNCIO_ADMISSION_ANNOTATIONS", "refuse"),
            ("NUNCIO_CONVERSION", "v2"),
        ])
        .unwrap_err()
        .to_string();
        assert_eq!(error.lines().count(), 4, "{error}");
        assert!(error.contains(r#"NUNCIO_ADMISSION_ANNOTATIONS="refuse": must be Warn or Deny"#));
    }
}
