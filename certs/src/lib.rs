//! Certificates: which one a client is shown, where they come from, and a development CA.
//!
//! - [`keyring`]: server name -> certificate, immutable. [`certificate`]: one of them, with its key.
//! - [`resolver`]: what rustls asks during a handshake; its keyring can be replaced while it serves.
//! - [`clients`]: whose certificates a site asks of its clients.
//! - [`folder`]: a keyring from the files of a folder, every problem at once.
//! - [`peers`]: what control planes and edges show each other. [`authority`]: who signs that.
//! - [`development`]: a CA of one's own for `localhost`, so that TLS works before anyone bought a name.
//!
//! **Invariant: no clock.** Whoever calls says what time it is.

pub mod authority;
pub mod certificate;
pub mod clients;
pub mod development;
pub mod folder;
pub mod keyring;
pub mod peers;
pub mod resolver;

pub use authority::{Authority, Peer, Realm};
pub use certificate::Certificate;
pub use clients::{AuthoritiesId, ClientAuthorities};
pub use development::{DevelopmentCa, development_ca};
pub use folder::{CertsError, Loaded, Stamp, stamp};
pub use keyring::Keyring;
pub use peers::Peers;
pub use resolver::{Resolver, server_config};

/// A day, as people write it: `2029-02-25`, in UTC.
pub fn date(time: std::time::SystemTime) -> String {
    time::OffsetDateTime::from(time).date().to_string()
}
