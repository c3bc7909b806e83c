//! Claims: their sources, the known facts about them, and the wait for a claim that does not exist yet.
//!
//! ```text
//! ClaimSource -> ClaimCache -> Inventory           the watches keep it current (collection)
//!             |             -> wait                a missing claim is fetched and waited for
//!             |                 WaitSlots            limits the number of pods that wait
//!             |                 SingleFlight         one GET per object, however many pods ask
//!             |                 TtlSet               claims whose wait timed out
//!             |             -> StrategyLists       lists of placement strategies, shared for seconds
//!             -> Inventory     from files
//! Snapshot                                           one-time reads of a cluster, for a command
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
mod ttl_counter;
mod ttl_set;
mod wait;
mod wait_slots;
mod watched_kind;

pub use cache::ClaimCache;
pub use deadlines::Deadlines;
pub use limits::ClaimLimits;
pub use snapshot::{Forbidden, Snapshot};
pub use source::ClaimSource;
