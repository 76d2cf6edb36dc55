//! From settings to the options of the admission webhook.

use std::net::SocketAddr;

use crate::admission::review::{Policy, ReviewSettings};
use crate::admission::{AdmissionOptions, Management, Names};
use crate::convert::ConvertedKind;
use crate::settings::{AdmissionSettings, AnnotationPolicy, CertificateSource, Settings};

/// The options; `None` where the webhook isn't served.
pub(super) fn options(settings: &Settings) -> Option<AdmissionOptions> {
    let admission = settings.admission.as_ref()?;
    Some(AdmissionOptions {
        listen: SocketAddr::new(settings.listen_address, admission.port),
        names: Names {
            namespace: settings.namespace.clone(),
            service: admission.service.clone(),
            secret: admission.secret.clone(),
            configuration: admission.webhook.clone(),
            definitions: definitions(admission),
        },
        management: match admission.certificate {
            CertificateSource::Own => Management::Own,
            CertificateSource::External => Management::External,
        },
        review: review_settings(settings, admission),
    })
}

/// The definitions whose objects may have to be converted.
fn definitions(admission: &AdmissionSettings) -> Vec<String> {
    let all = ConvertedKind::ALL.iter().filter(|_| admission.conversion);
    all.map(ConvertedKind::definition).collect()
}

fn review_settings(settings: &Settings, admission: &AdmissionSettings) -> ReviewSettings {
    // With a selector, an object may be none of ours, and the webhook can't tell.
    let selective = settings.label_selector.is_some() || settings.field_selector.is_some();
    let unless_selective = |policy| if selective { Policy::Warn } else { policy };
    ReviewSettings {
        parse: settings.parsing(),
        ambassador_id: settings.ambassador_id.clone(),
        single_namespace: settings.single_namespace.then(|| settings.namespace.clone()),
        resources: unless_selective(Policy::Deny),
        annotations: match admission.annotations {
            AnnotationPolicy::Warn => Policy::Warn,
            AnnotationPolicy::Deny => unless_selective(Policy::Deny),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Flags;

    #[test]
    fn with_a_selector_nothing_is_refused() {
        let policies = |selector: &str| {
            let variables = [
                ("NUNCIO_ADMISSION_SERVICE", "admission"),
                ("NUNCIO_ADMISSION_ANNOTATIONS", "Deny"),
                ("AMBASSADOR_LABEL_SELECTOR", selector),
            ];
            let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let settings = Settings::parse(&Flags::default(), environment.into(), 1).unwrap();
            let review = options(&settings).unwrap().review;
            (review.resources, review.annotations)
        };
        assert_eq!(policies(""), (Policy::Deny, Policy::Deny));
        assert_eq!(policies("team=edge"), (Policy::Warn, Policy::Warn));
    }
}
