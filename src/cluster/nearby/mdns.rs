//! What `avahi-browse --parsable --resolve` prints.

use std::net::IpAddr;

use super::{Seen, Sighting};

/// The hosts of lines `=;INTERFACE;PROTOCOL;NAME;TYPE;DOMAIN;HOST;ADDRESS;PORT;TEXT` (avahi-utils/avahi-browse.c,
/// `service_resolver_callback`). Other lines, the only ones to lack fields, say that something came, went or failed.
pub(super) fn parse(text: &str) -> Vec<Sighting> {
    text.lines().filter_map(sighting).collect()
}

fn sighting(line: &str) -> Option<Sighting> {
    let fields: Vec<&str> = line.splitn(10, ';').collect();
    let &["=", interface, _, _, _, _, host, address, _, _] = &fields[..] else { return None };
    let ip: IpAddr = address.parse().ok()?;
    // Nobody reaches such an address without saying through which interface.
    let unusable = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    if unusable || ip.is_loopback() || super::neighbours::is_made_up(interface) || host.is_empty() {
        return None;
    }
    Some(Sighting { host: Some(host.to_owned()), seen: Seen { ip, interface: interface.to_owned() } })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_was_resolved_counts() {
        let text = include_str!("fixtures/avahi-browse.txt");
        let seen = parse(text);
        assert_eq!(seen.len(), 6, "{seen:?}");
        let nas = seen.iter().find(|it| it.host.as_deref() == Some("nas.local")).unwrap();
        assert_eq!((nas.seen.ip.to_string().as_str(), nas.seen.interface.as_str()), ("10.0.0.9", "enP7s7"));
    }

    #[test]
    fn what_is_no_such_line_is_nobody() {
        for line in [
            "",
            "=",
            "=;a;b",
            "hello",
            "=;eth0;IPv4;n;t;d;h;no address;22;",
            "=;eth0;IPv4;n;t;d;;10.0.0.1;22;",
        ] {
            assert_eq!(parse(line), []);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "([=+;a-z0-9.\n]|\\PC){0,80}") {
            let _ = parse(&text);
        }
    }
}
