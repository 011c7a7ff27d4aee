//! Which Owncast this is and what it can do; pure.

use std::fmt;

/// An Owncast version, from `versionNumber` of `/api/status` (never from `version`, which forks change).
/// Two versions compare by their numbers; a pre-release counts as its release, since development builds
/// already have what that release brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number, 0 when absent.
    pub patch: u32,
}

impl Version {
    /// Reads `0.1.3`, `v0.2`, `0.3.0-nightly-20260101`; `None` for anything that does not start with two numbers.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim().trim_start_matches(['v', 'V']);
        let numbers = text.split(['-', '+', ' ']).next()?;
        let mut parts = numbers.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        Some(Version { major, minor, patch })
    }

    fn at_least(self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// Webhooks carry `owncast-signature` (Owncast 0.3.0).
    pub fn signs_webhooks(self) -> bool {
        self.at_least(0, 3)
    }

    /// `FEDIVERSE_ENGAGEMENT_FOLLOW` may be subscribed to (Owncast 0.2.0); older ones refuse the whole call.
    pub fn has_follow_webhook(self) -> bool {
        self.at_least(0, 2)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_leniently() {
        let table = [
            ("0.1.3", Some((0, 1, 3))),
            ("v0.2", Some((0, 2, 0))),
            ("0.3.0-nightly-20260101", Some((0, 3, 0))),
            (" 1.10.2+build ", Some((1, 10, 2))),
            ("0.2.x", Some((0, 2, 0))),
            ("", None),
            ("develop", None),
            ("1", None),
            ("-1.2", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(major, minor, patch)| Version { major, minor, patch });
            assert_eq!(Version::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn features_begin_with_their_version() {
        for (text, signs, follow) in [
            ("0.1.3", false, false),
            ("0.2.5", false, true),
            ("0.3.0-rc1", true, true),
            ("1.0.0", true, true),
        ] {
            let version = Version::parse(text).unwrap();
            assert_eq!((version.signs_webhooks(), version.has_follow_webhook()), (signs, follow), "{text}");
        }
        assert!(Version::parse("0.10.0") > Version::parse("0.9.9"));
        assert_eq!(Version::parse("0.1.3").unwrap().to_string(), "0.1.3");
    }
}
