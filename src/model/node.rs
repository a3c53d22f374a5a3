//! Addresses of the machine itself.

use std::net::{IpAddr, Ipv6Addr};

/// Whether it is one of the addresses under which clouds tell a machine its secrets: link-local ones, and AWS's over IPv6.
#[must_use]
pub fn of_the_node(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => {
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| ip.is_link_local());
            mapped || ip.is_unicast_link_local() || ip == Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}
