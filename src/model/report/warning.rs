//! What is served, although not as it should be, or not for long.

use std::fmt;

use crate::model::date::utc;
use crate::model::tls::Certificate;

const DAY: i64 = 86_400;

/// Days before its end at which a certificate is told of anew.
pub const EXPIRY_STAGES: [u8; 4] = [30, 14, 7, 1];

/// Bytes of a fingerprint that are shown: enough to tell one from another.
const SHOWN: usize = 8;

/// Something that will go wrong later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// The certificate that is served expires soon.
    ExpiresSoon {
        /// The stage that is reached, in days: it expires within them.
        days: u8,
        /// The last second in which it is valid, since 1970.
        at: i64,
    },
}

impl Warning {
    /// What is to be told of a certificate at `now`, in seconds since 1970. The words are the same
    /// from one stage to the next, so that each is told once.
    pub fn of(certificate: &Certificate, now: i64) -> Option<Self> {
        let at = certificate.not_after;
        let within = |days: &u8| at.saturating_sub(now) <= i64::from(*days) * DAY;
        let days = EXPIRY_STAGES.into_iter().filter(within).min()?;
        (now <= at).then_some(Self::ExpiresSoon { days, at })
    }

    /// A word for programs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ExpiresSoon { .. } => "CertificateExpiresSoon",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::ExpiresSoon { days, at } = self;
        let within = match days {
            1 => "less than a day".to_owned(),
            days => format!("less than {days} days"),
        };
        write!(
            f,
            "The certificate expires in {within}, on {}: put a new one in its place, or see why \
             what renews it hasn't",
            utc(*at)
        )
    }
}

/// What stays in force of something that can't be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A certificate, until it expires.
    Certificate {
        /// The beginning of its SHA-256.
        fingerprint: [u8; SHOWN],
        /// The last second in which it is valid, since 1970.
        not_after: i64,
    },
    /// Authorities.
    Authorities,
    /// Revocation lists.
    Revoked,
}

impl Kept {
    /// A certificate that stays in force.
    pub fn certificate(certificate: &Certificate) -> Self {
        let mut fingerprint = [0; SHOWN];
        fingerprint.copy_from_slice(&certificate.fingerprint[..SHOWN]);
        Self::Certificate { fingerprint, not_after: certificate.not_after }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { fingerprint, not_after } => {
                let hex = fingerprint.map(|byte| format!("{byte:02X}")).join(":");
                write!(
                    f,
                    "the certificate of before (SHA-256 {hex}…) is used until it expires on {}",
                    utc(*not_after)
                )?;
            }
            Self::Authorities => {
                f.write_str("the CA certificates of before are trusted, and no others")?;
            }
            Self::Revoked => f.write_str("the revocation lists of before are in force")?,
        }
        f.write_str(", but a gateway that restarts doesn't have it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tls::{KeyKind, Private};

    const END: i64 = 100 * DAY;

    fn stage(now: i64) -> Option<u8> {
        let certificate = Certificate {
            fingerprint: [0; 32],
            chain: Vec::new(),
            key: Private::new(*b""),
            key_kind: KeyKind::Ecdsa,
            names: Vec::new(),
            not_before: 0,
            not_after: END,
        };
        Warning::of(&certificate, now).map(|Warning::ExpiresSoon { days, .. }| days)
    }

    #[test]
    fn each_stage_lasts_until_the_next() {
        for (left, expected) in [
            (31 * DAY, None),
            (30 * DAY + 1, None),
            (30 * DAY, Some(30)),
            (14 * DAY + 1, Some(30)),
            (14 * DAY, Some(14)),
            (8 * DAY, Some(14)),
            (7 * DAY, Some(7)),
            (DAY + 1, Some(7)),
            (DAY, Some(1)),
            (0, Some(1)),
            (-1, None),
        ] {
            assert_eq!(stage(END - left), expected, "{left} seconds left");
        }
    }
}
