//! Addresses: loopback only, with a port.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// An IP address and port on this machine only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoopbackAddr(SocketAddr);

/// The address of a Zenoh session: `tls/10.0.0.1:7447`, or `tcp/127.0.0.1:7447` on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BusAddr {
    addr: SocketAddr,
    is_secure: bool,
}

/// Text that is no usable address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddr {
    /// Not an address at all.
    #[error("{0:?} is not an address like 127.0.0.1:7601")]
    Malformed(String),
    /// Not an endpoint of the bus.
    #[error("{0:?} is not an endpoint like tls/10.0.0.1:7447")]
    NoEndpoint(String),
    /// Reachable from elsewhere.
    #[error("{0} is not on loopback: without certificates (tls/) nothing listens beyond 127.0.0.1")]
    Exposed(SocketAddr),
    /// Port 0 would be another one at each start.
    #[error("{0} has port 0, which nobody could dial")]
    NoPort(SocketAddr),
}

impl LoopbackAddr {
    /// Takes an address on loopback with a port.
    ///
    /// # Errors
    /// [`InvalidAddr`] when it is exposed or has port 0.
    pub fn new(addr: SocketAddr) -> Result<Self, InvalidAddr> {
        if !addr.ip().is_loopback() {
            return Err(InvalidAddr::Exposed(addr));
        }
        if addr.port() == 0 {
            return Err(InvalidAddr::NoPort(addr));
        }
        Ok(Self(addr))
    }

    /// The bare address.
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl BusAddr {
    /// The insecure endpoint at `addr`.
    pub const fn new(addr: LoopbackAddr) -> Self {
        Self { addr: addr.0, is_secure: false }
    }

    /// Where it listens.
    pub const fn addr(self) -> SocketAddr {
        self.addr
    }

    /// Whether what goes over it is encrypted, between members of the fleet only.
    pub const fn is_secure(self) -> bool {
        self.is_secure
    }
}

impl TryFrom<String> for LoopbackAddr {
    type Error = InvalidAddr;

    fn try_from(text: String) -> Result<Self, InvalidAddr> {
        let Ok(addr) = text.parse() else { return Err(InvalidAddr::Malformed(text)) };
        Self::new(addr)
    }
}

impl TryFrom<String> for BusAddr {
    type Error = InvalidAddr;

    fn try_from(text: String) -> Result<Self, InvalidAddr> {
        if let Some(addr) = text.strip_prefix("tcp/") {
            return LoopbackAddr::try_from(addr.to_owned()).map(Self::new);
        }
        let addr = text.strip_prefix("tls/").and_then(|addr| addr.parse::<SocketAddr>().ok());
        match addr {
            Some(addr) if addr.port() == 0 => Err(InvalidAddr::NoPort(addr)),
            Some(addr) => Ok(Self { addr, is_secure: true }),
            None => Err(InvalidAddr::NoEndpoint(text)),
        }
    }
}

impl fmt::Display for LoopbackAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for BusAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", if self.is_secure { "tls" } else { "tcp" }, self.addr)
    }
}

impl From<LoopbackAddr> for String {
    fn from(addr: LoopbackAddr) -> Self {
        addr.to_string()
    }
}

impl From<BusAddr> for String {
    fn from(addr: BusAddr) -> Self {
        addr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_with_a_port_is_taken() {
        for good in ["127.0.0.1:7601", "127.8.0.1:1", "[::1]:7601"] {
            assert_eq!(LoopbackAddr::try_from(good.to_owned()).unwrap().to_string(), good);
        }
        for (bad, why) in [
            ("0.0.0.0:7601", "not on loopback"),
            ("192.168.0.2:7601", "not on loopback"),
            ("[::]:7601", "not on loopback"),
            ("127.0.0.1:0", "port 0"),
            ("localhost:7601", "not an address like"),
            ("127.0.0.1", "not an address like"),
        ] {
            let error = LoopbackAddr::try_from(bad.to_owned()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_bus_address_is_a_zenoh_endpoint() {
        let addr = BusAddr::try_from("tcp/127.0.0.1:7447".to_owned()).unwrap();
        assert_eq!(addr.to_string(), "tcp/127.0.0.1:7447");
        let addr = BusAddr::try_from("tls/10.0.0.1:7447".to_owned()).unwrap();
        assert_eq!((addr.to_string().as_str(), addr.is_secure()), ("tls/10.0.0.1:7447", true));
        assert!(BusAddr::try_from("tcp/10.0.0.1:7447".to_owned()).is_err());
        assert!(BusAddr::try_from("tls/10.0.0.1:0".to_owned()).is_err());
        assert!(BusAddr::try_from("127.0.0.1:7447".to_owned()).is_err());
        assert!(BusAddr::try_from("udp/127.0.0.1:7447".to_owned()).is_err());
    }
}
