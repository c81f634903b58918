//! Who is the client of a connection whose beginning is not in the capture.

use super::terms::Way;

/// Ports of servers that matter most, in this order; Zeek's `likely_server_ports` of TCP follow.
const TCP_SERVERS: &[u16] = &[
    445, 139, 135, 88, 389, 53, 80, 443, 21, 22, 23, 25, 81, 102, 110, 143, 179, 502, 514, 563, 585, 587, 593, 614, 631, 636,
    989, 990, 992, 993, 994, 995, 1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5060, 5222, 5223, 5269, 5432, 5985, 6379, 6666,
    6667, 6668, 6669, 8000, 8080, 8888, 20_000,
];

/// Zeek's `likely_server_ports` of UDP.
const UDP_SERVERS: &[u16] = &[
    53, 67, 68, 88, 123, 137, 138, 161, 162, 389, 443, 514, 1434, 1812, 2123, 2152, 3389, 3544, 4011, 4789, 5060, 5072, 5353,
    5355, 6081, 20_000,
];

fn rank(list: &[u16], port: u16) -> usize {
    list.iter().position(|p| *p == port).unwrap_or(list.len())
}

/// Which way the first packet of a TCP connection goes that is no plain SYN: to the client from a port of a server, or from the lower one.
pub(super) fn tcp_way(source: u16, destination: u16) -> Way {
    let key = |port| (rank(TCP_SERVERS, port), port);
    if key(source) < key(destination) { Way::ToClient } else { Way::ToServer }
}

/// Which way the first packet of a UDP connection goes: to the client from a port of a server, if the other one is none.
pub(super) fn udp_way(source: u16, destination: u16) -> Way {
    if UDP_SERVERS.contains(&source) && !UDP_SERVERS.contains(&destination) { Way::ToClient } else { Way::ToServer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_their_ports() {
        assert_eq!(tcp_way(445, 1025), Way::ToClient);
        assert_eq!(tcp_way(1025, 445), Way::ToServer);
        assert_eq!(tcp_way(20, 445), Way::ToServer);
        assert_eq!(tcp_way(40_000, 40_001), Way::ToClient);
        assert_eq!(tcp_way(40_001, 40_000), Way::ToServer);
        assert_eq!(tcp_way(9, 9), Way::ToServer);
        assert_eq!(udp_way(53, 5000), Way::ToClient);
        assert_eq!(udp_way(5353, 5353), Way::ToServer);
        assert_eq!(udp_way(547, 546), Way::ToServer);
    }
}
