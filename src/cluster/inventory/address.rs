//! The address of a machine.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

use crate::host_name::HostName;

/// Where a machine is reached: an IP address, or a name that DNS, mDNS or `/etc/hosts` knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub enum Address {
    /// As it is.
    Ip(IpAddr),
    /// Looked up by whoever connects. In small letters.
    Name(HostName),
}

/// A text that is no address of a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of a machine: an IP address or a host name, without port or netmask")]
pub struct BadAddress(String);

impl Address {
    /// Whether it is one of IPv6 that means something on one cable alone, and with the name of an interface.
    pub fn is_link_local_v6(&self) -> bool {
        matches!(self, Address::Ip(IpAddr::V6(ip)) if ip.is_unicast_link_local())
    }

    /// Whether it means the machine that uses it, whichever that is.
    pub fn is_loopback(&self) -> bool {
        match self {
            Address::Ip(ip) => ip.is_loopback(),
            Address::Name(name) => {
                let name = name.as_str();
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.chars().take(HostName::MAX_BYTES).collect());
        if let Ok(ip) = text.parse::<IpAddr>() {
            let nobodys = ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255; 4]);
            return if nobodys { Err(bad()) } else { Ok(Self::Ip(ip)) };
        }
        // No top-level domain is a number, so that `10.0.0.256` is no name either (RFC 3696, section 2).
        let numbered = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        let name = text.to_ascii_lowercase().parse().ok().filter(|_| !numbered);
        name.map(Self::Name).ok_or_else(bad)
    }
}

impl TryFrom<Cow<'_, str>> for Address {
    type Error = BadAddress;

    fn try_from(text: Cow<'_, str>) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(ip) => ip.fmt(f),
            Address::Name(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers_or_names() {
        for good in ["10.0.0.25", "169.254.1.2", "fe80::1", "spark-ea8e", "spark.local", "10.0.0.1.lab"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        assert_eq!("Spark.Local".parse::<Address>(), "spark.local".parse());
        let bad = [
            "",
            "10.0.0.256",
            "10.0.0",
            "1",
            "10.0.0.1/24",
            "10.0.0.1:22",
            "a b",
            "a.",
            "0.0.0.0",
            "::",
            "224.0.0.1",
        ];
        for bad in bad {
            let error = bad.parse::<Address>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{bad}` is no address")), "{error}");
        }
    }

    #[test]
    fn loopback_is_told_by_number_and_by_name() {
        let loopback = |text: &str| text.parse::<Address>().unwrap().is_loopback();
        assert!(
            ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST", "a.localhost"]
                .into_iter()
                .all(loopback)
        );
        assert!(!["10.0.0.1", "localhost.lab", "::2"].into_iter().any(loopback));
    }
}
