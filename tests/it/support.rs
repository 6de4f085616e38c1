//! What the journeys stand on: a real `seawall` process, an origin that says what it is told to, and clients
//! that see every byte. Blocking sockets and threads: a journey reads from top to bottom.

mod answer;
mod aside;
mod connection;
mod curl;
mod disk;
mod etcd;
mod folder;
pub mod h2;
pub mod message;
mod origin;
mod pki;
mod process;
mod response;
mod role;
mod seawall;
mod start;
mod wait;

pub use answer::{Answer, Gate, ok};
pub use aside::say;
pub use connection::Connection;
pub use disk::Disk;
pub use etcd::{Etcd, Version};
pub use folder::Folder;
pub use h2::Crowd;
pub use origin::Origin;
pub use pki::Authority;
pub use process::Process;
pub use response::Response;
pub use role::Role;
pub use seawall::Seawall;
pub use wait::{eventually, within};
