//! Claims: where they come from, what is known of them, and the wait for one that does not exist yet.
//!
//! ```text
//! ClaimSource -> ClaimCache -> Inventory           the watches keep it current (collection)
//!             |             -> wait                a claim that is not there is asked and waited for
//!             |                 WaitSlots            how many pods may wait
//!             |                 SingleFlight         one GET per object, however many pods ask
//!             |                 TtlSet               what was waited for in vain
//!             -> Inventory     of files
//! Snapshot                                           a cluster that is asked once, for a command
//! ```

mod cache;
mod collection;
mod deadlines;
mod freshness;
mod limits;
mod single_flight;
mod snapshot;
mod source;
mod strategies;
mod ttl_set;
mod wait;
mod wait_slots;
mod watched_kind;

pub use cache::ClaimCache;
pub use deadlines::Deadlines;
pub use limits::ClaimLimits;
pub use snapshot::{Forbidden, Snapshot};
pub use source::ClaimSource;
