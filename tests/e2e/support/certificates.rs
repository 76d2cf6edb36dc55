//! Certificates, authorities and revocation lists, and the Secrets that hold them.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

/// Somebody who signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    serial: SerialNumber,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("generates");
        Self(CertifiedIssuer::self_signed(params, key).expect("signs"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For these names; the first is its subject too.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.sign(names, |_| {})
    }

    /// The same, whose time was over long ago.
    pub(crate) fn issue_expired(&self, names: &[&str]) -> Issued {
        self.sign(names, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let all: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(all).expect("names");
        params.distinguished_name.push(DnType::CommonName, names[0]);
        let serial = SerialNumber::from(fastrand::u64(1..));
        params.serial_number = Some(serial.clone());
        change(&mut params);
        let key = KeyPair::generate().expect("generates");
        let certificate = params.signed_by(&key, &self.0).expect("signs").pem();
        Issued { certificate, key: key.serialize_pem(), serial }
    }

    /// The list that revokes these, in PEM.
    pub(crate) fn revoke(&self, revoked: &[&Issued]) -> String {
        let entry = |issued: &&Issued| RevokedCertParams {
            serial_number: issued.serial.clone(),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2200, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).expect("signs").pem().expect("is text")
    }
}

impl Issued {
    /// As `kubectl create secret tls` makes it.
    pub(crate) fn secret(&self, name: &str) -> Value {
        secret_of(name, &self.certificate, &self.key)
    }
}

/// A Secret for TLS of whatever texts.
pub(crate) fn secret_of(name: &str, certificate: &str, key: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name},
        "stringData": {"tls.crt": certificate, "tls.key": key},
    })
}

/// A Secret with one text.
pub(crate) fn opaque_secret(name: &str, key: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: text},
    })
}
