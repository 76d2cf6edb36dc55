//! Certificates that are made for tests.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType,
    IsCa, Issuer, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams, SerialNumber,
    date_time_ymd,
};

/// A certificate, who may sign with it, and both as PEM.
pub(crate) struct Made {
    pub(crate) pem: String,
    pub(crate) key: String,
    pub(crate) der: Vec<u8>,
    pub(crate) key_der: Vec<u8>,
    params: CertificateParams,
}

fn made(certificate: &Certificate, key: &KeyPair, params: CertificateParams) -> Made {
    Made {
        pem: certificate.pem(),
        key: key.serialize_pem(),
        der: certificate.der().to_vec(),
        key_der: key.serialize_der(),
        params,
    }
}

fn params(common: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

/// Signed by itself, for these names.
pub(crate) fn server(common: &str, names: &[&str]) -> Made {
    let (params, key) = (params(common, names), KeyPair::generate().unwrap());
    made(&params.clone().self_signed(&key).unwrap(), &key, params)
}

/// An authority.
pub(crate) fn authority(common: &str) -> Made {
    let (mut params, key) = (params(common, &[]), KeyPair::generate().unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    made(&params.clone().self_signed(&key).unwrap(), &key, params)
}

impl Made {
    fn issuer(&self) -> Issuer<'static, KeyPair> {
        Issuer::new(self.params.clone(), KeyPair::from_pem(&self.key).unwrap())
    }

    /// Signs a certificate for these names.
    pub(crate) fn signs(&self, common: &str, names: &[&str]) -> Self {
        let (params, key) = (params(common, names), KeyPair::generate().unwrap());
        made(&params.clone().signed_by(&key, &self.issuer()).unwrap(), &key, params)
    }

    /// A revocation list with one entry, as PEM.
    pub(crate) fn revokes(&self) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(7_u64),
            revocation_time: date_time_ymd(2026, 2, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 2, 1),
            next_update: date_time_ymd(2027, 2, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer()).unwrap().pem().unwrap()
    }
}
