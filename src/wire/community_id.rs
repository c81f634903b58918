//! Community ID, version 1, seed 0 (<https://github.com/corelight/community-id-spec>).

use super::key::{FlowKey, KeyKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// Why a text is no Community ID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommunityIdError {
    /// It does not begin with `1:`.
    #[error("a community id begins with 1: (version 1)")]
    Version,
    /// What follows is not base64 of 20 bytes.
    #[error("a community id is 1: and 28 characters of base64")]
    Digest,
}

/// The Community ID of a flow, `1:` and base64; `None` where [`community_digest`] is.
pub fn community_id(key: &FlowKey) -> Option<String> {
    community_digest(key).map(|digest| format_community_id(&digest))
}

/// The text of a digest: `1:` and base64.
pub fn format_community_id(digest: &[u8; 20]) -> String {
    let mut text = String::with_capacity(30);
    text.push_str("1:");
    STANDARD.encode_string(digest, &mut text);
    text
}

/// The SHA-1 that a Community ID stands for; `None` for keys that are no IP flow.
///
/// VLAN tags are no part of it. Flows whose ports are not known (later fragments without a first one) are hashed as protocols
/// without ports are.
pub fn community_digest(key: &FlowKey) -> Option<[u8; 20]> {
    let address_len = match key.kind() {
        KeyKind::Ip4 => 4,
        KeyKind::Ip6 => 16,
        KeyKind::Arp | KeyKind::Tagged | KeyKind::Irregular => return None,
    };
    let mut input = [0; 40];
    let mut len = 2; // the seed, 0
    let mut put = |bytes: &[u8]| {
        input[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    };
    put(&key.a[..address_len]);
    put(&key.b[..address_len]);
    put(&[key.proto, 0]);
    if let Some((a, b)) = key.ports() {
        put(&a.to_be_bytes());
        put(&b.to_be_bytes());
    }
    Some(Sha1::digest(&input[..len]).into())
}

/// The digest in the text of a Community ID.
pub fn parse_community_id(text: &str) -> Result<[u8; 20], CommunityIdError> {
    let digest = text.strip_prefix("1:").ok_or(CommunityIdError::Version)?;
    STANDARD.decode(digest).ok().and_then(|d| d.try_into().ok()).ok_or(CommunityIdError::Digest)
}

#[cfg(test)]
mod tests {
    use super::super::layer::{Layer, LayerKind, VlanTags};
    use super::*;

    fn id(proto: u8, src: &str, dst: &str, ports: Option<(u16, u16)>) -> String {
        let src: std::net::IpAddr = src.parse().unwrap();
        let mut layer = Layer::new(if src.is_ipv4() { LayerKind::Ip4 } else { LayerKind::Ip6 }, VlanTags::default());
        layer.src = Some(src);
        layer.dst = Some(dst.parse().unwrap());
        layer.proto = Some(proto);
        match proto {
            1 | 58 => layer.icmp = ports.map(|(kind, code)| (kind as u8, code as u8)),
            _ => layer.ports = ports,
        }
        community_id(&FlowKey::of(&layer).unwrap().0).unwrap()
    }

    #[test]
    fn the_reference_vectors_hold() {
        // The specification's baseline; where it gives ICMP's counterpart as a port, a code of 0 stands here.
        for (proto, src, dst, ports, want) in [
            (58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", Some((135, 0)), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            (58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", Some((136, 0)), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            (58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", Some((135, 0)), "1:zavyT/cezQr1fmImYCwYnMXbgck="),
            (58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", Some((136, 0)), "1:zavyT/cezQr1fmImYCwYnMXbgck="),
            (58, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", Some((3, 0)), "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="),
            (
                58,
                "3ffe:501:410:0:2c0:dfff:fe47:33e",
                "3ffe:507:0:1:200:86ff:fe05:80da",
                Some((1, 4)),
                "1:hLZd0XGWojozrvxqE0dWB1iM6R0=",
            ),
            (58, "3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", Some((128, 0)), "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="),
            (58, "3ffe:501:0:1001::2", "3ffe:507:0:1:200:86ff:fe05:80da", Some((129, 0)), "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="),
            (58, "fe80::200:86ff:fe05:80da", "ff02::2", Some((133, 0)), "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="),
            (58, "fe80::260:97ff:fe07:69ea", "ff02::1", Some((134, 0)), "1:pkvHqCL88/tg1k4cPigmZXUtL00="),
            (1, "192.168.0.89", "192.168.0.1", Some((8, 0)), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            (1, "192.168.0.1", "192.168.0.89", Some((0, 0)), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            (1, "10.0.0.1", "10.0.0.2", Some((11, 0)), "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
            (
                6,
                "2001:470:e5bf:dead:4957:2174:e82c:4887",
                "2607:f8b0:400c:c03::1a",
                Some((63943, 25)),
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            ),
            (
                6,
                "2607:f8b0:400c:c03::1a",
                "2001:470:e5bf:dead:4957:2174:e82c:4887",
                Some((25, 63943)),
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            ),
            (132, "192.168.170.8", "192.168.170.56", Some((7, 7)), "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
            (132, "192.168.170.56", "192.168.170.8", Some((7, 7)), "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
            (6, "128.232.110.120", "66.35.250.204", Some((34855, 80)), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (6, "66.35.250.204", "128.232.110.120", Some((80, 34855)), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (17, "192.168.1.52", "8.8.8.8", Some((54585, 53)), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            (17, "8.8.8.8", "192.168.1.52", Some((53, 54585)), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            (46, "10.1.12.1", "10.1.12.2", None, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
            (46, "10.1.12.2", "10.1.12.1", None, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
        ] {
            assert_eq!(id(proto, src, dst, ports), want, "{proto} {src} {dst} {ports:?}");
        }
    }

    #[test]
    fn other_keys_have_none() {
        assert_eq!(community_id(&FlowKey::IRREGULAR), None);
        assert_eq!(community_id(&FlowKey::tagged(VlanTags::default())), None);
        let mut arp = Layer::new(LayerKind::Arp, VlanTags::default());
        arp.src = Some("10.0.0.1".parse().unwrap());
        arp.dst = Some("10.0.0.2".parse().unwrap());
        assert_eq!(community_id(&FlowKey::of(&arp).unwrap().0), None);
    }

    #[test]
    fn texts_are_read_back_or_refused() {
        let digest = std::array::from_fn(|i| i as u8 * 13);
        assert_eq!(parse_community_id(&format_community_id(&digest)), Ok(digest));
        for (text, error) in [
            ("", CommunityIdError::Version),
            ("2:LQU9qZlK+B5F3KDmev6m5PMibrg=", CommunityIdError::Version),
            ("1:", CommunityIdError::Digest),
            ("1:LQU9qZlK+B5F3KDmev6m5PMibrg", CommunityIdError::Digest),
            ("1:LQU9qZlK+B5F3KDmev6m5PMibrg=x", CommunityIdError::Digest),
            ("1:LQU9qZlK", CommunityIdError::Digest),
            ("1:LQU9qZlK B5F3KDmev6m5PMibrg=", CommunityIdError::Digest),
        ] {
            assert_eq!(parse_community_id(text), Err(error), "{text}");
        }
    }
}
