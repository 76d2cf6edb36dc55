//! `forward_client_cert_details` and `set_current_client_cert_details`.

use crate::model::object::Severity;
use crate::model::policy::{ClientCertificateDetails, ClientCertificateHeader};

use super::keys::CERTIFICATE_DETAILS;
use crate::source::parse::fields::{Field, Problems};
use crate::source::parse::read::{read_choice, read_flag, tell_keys};

/// What upstreams are told of a client's certificate.
pub(super) fn parse_certificate(
    config: &Field<'_>,
    problems: &mut Problems,
) -> ClientCertificateHeader {
    let details = config.child("set_current_client_cert_details");
    let given = details.as_ref().map(|field| parse_details(field, problems));
    let details_value = given.unwrap_or_default();
    let choices = [
        ("SANITIZE", ClientCertificateHeader::Sanitize),
        ("FORWARD_ONLY", ClientCertificateHeader::ForwardOnly),
        ("APPEND_FORWARD", ClientCertificateHeader::AppendForward(details_value)),
        ("SANITIZE_SET", ClientCertificateHeader::SanitizeSet(details_value)),
        ("ALWAYS_FORWARD_ONLY", ClientCertificateHeader::AlwaysForwardOnly),
    ];
    let chosen = config
        .child("forward_client_cert_details")
        .and_then(|field| read_choice(&field, &choices, problems))
        .unwrap_or(ClientCertificateHeader::Sanitize);
    let tells = matches!(
        chosen,
        ClientCertificateHeader::AppendForward(_) | ClientCertificateHeader::SanitizeSet(_)
    );
    if let (Some(field), false) = (&details, tells) {
        let message = "has an effect only together with forward_client_cert_details: SANITIZE_SET \
                       or APPEND_FORWARD";
        problems.add(Severity::Warning, field, message);
    }
    chosen
}

fn parse_details(field: &Field<'_>, problems: &mut Problems) -> ClientCertificateDetails {
    tell_keys(field, CERTIFICATE_DETAILS, problems);
    let flag = |name: &str, problems: &mut Problems| {
        field.child(name).and_then(|child| read_flag(&child, problems)).unwrap_or(false)
    };
    ClientCertificateDetails {
        subject: flag("subject", problems),
        cert: flag("cert", problems),
        chain: flag("chain", problems),
        dns: flag("dns", problems),
        uri: flag("uri", problems),
    }
}
