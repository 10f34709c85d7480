//! The usual steps of a life, written as the published library writes them.

use super::Story;

/// The steps.
impl Story {
    /// `e1` comes to be on lane gold.
    pub fn created(self, at: i64) -> Self {
        self.step(
            at,
            "ff_create_execution e1 ns gold kind 0 me - - -",
            "OK",
            "HSET :core lifecycle_phase runnable ownership_state unowned eligibility_state eligible_now attempt_state \
             pending_first_attempt current_lease_epoch 0 lane_id gold current_lane gold; ZADD :lane:gold:eligible 0 e1",
        )
    }

    /// A claim grant is issued that can be consumed until the given millisecond.
    pub fn granted(self, at: i64, until: i64) -> Self {
        self.step(at, "ff_issue_claim_grant e1 w w-1 gold - 0", "OK", &grant(at, until))
    }

    /// A reclaim grant is issued.
    pub fn reclaim_granted(self, at: i64, until: i64) -> Self {
        self.step(at, "ff_issue_reclaim_grant e1 w w-1 gold - 0", "OK", &grant(at, until))
    }

    /// The grant becomes the n-th lease.
    pub fn claimed(self, at: i64, n: u32, until: i64) -> Self {
        self.step(at, "ff_claim_execution e1 w w-1 gold", "OK", &format!("DEL :grant; {}", lease(n, until)))
    }

    /// The grant becomes the n-th lease, in place of one that was lost.
    pub fn reclaimed(self, at: i64, n: u32, until: i64) -> Self {
        self.step(at, "ff_reclaim_execution e1 w w-1 gold", "OK", &format!("DEL :grant; {}", lease(n, until)))
    }

    /// The n-th lease is renewed.
    pub fn renewed(self, at: i64, n: u32, until: i64) -> Self {
        let call = format!("ff_renew_lease e1 0 a{n} l{n} {n} {} 0", until - at);
        self.step(
            at,
            &call,
            "OK",
            &format!("HSET :core lease_expires_at @{until}; HSET :lease expires_at @{until}"),
        )
    }

    /// Whoever holds the n-th lease completes.
    pub fn completed(self, at: i64, n: u32) -> Self {
        let call = format!("ff_complete_execution e1 l{n} {n} a{n} done lease_holder");
        self.step(at, &call, "OK", &ended("success"))
    }

    /// Whoever holds the n-th lease cancels.
    pub fn cancelled(self, at: i64, n: u32) -> Self {
        let call = format!("ff_cancel_execution e1 why lease_holder l{n} {n}");
        self.step(at, &call, "OK", &ended("cancelled"))
    }

    /// Whoever holds the n-th lease gives it back; the execution is eligible again at once.
    pub fn delayed(self, at: i64, n: u32) -> Self {
        let call = format!("ff_delay_execution e1 l{n} {n} a{n} @{at} lease_holder");
        self.step(at, &call, "OK", &freed("attempt_interrupted"))
    }

    /// The lease is marked expired.
    pub fn marked(self, at: i64) -> Self {
        self.step(
            at,
            "ff_mark_lease_expired_if_due e1",
            "OK",
            "HSET :core ownership_state lease_expired_reclaimable attempt_state attempt_interrupted",
        )
    }

    /// The lease is said to have expired, as minimal.lua does: it is removed and the execution is free.
    pub fn marked_and_freed(self, at: i64) -> Self {
        self.step(at, "ff_mark_lease_expired_if_due e1", "OK", &freed("pending_retry_attempt"))
    }

    /// The lease is revoked.
    pub fn revoked(self, at: i64) -> Self {
        self.step(
            at,
            "ff_revoke_lease e1 - why",
            "OK",
            "DEL :lease; HSET :core ownership_state lease_revoked attempt_state attempt_interrupted",
        )
    }
}

/// Commands that write a grant.
pub fn grant(at: i64, until: i64) -> String {
    format!(
        "HSET :grant worker_id w worker_instance_id w-1 lane_id gold created_at @{at} grant_expires_at @{until}; \
         PEXPIREAT :grant @{until}"
    )
}

/// Commands that write the n-th lease.
pub fn lease(n: u32, until: i64) -> String {
    format!(
        "DEL :lease; HSET :lease lease_id l{n} lease_epoch {n} attempt_id a{n} expires_at @{until}; \
         HSET :core lifecycle_phase active ownership_state leased eligibility_state not_applicable attempt_state \
         running_attempt current_lease_id l{n} current_lease_epoch {n} current_attempt_id a{n} lease_expires_at @{until}; \
         ZREM :lane:gold:eligible e1; ZADD :lane:gold:active @{until} e1"
    )
}

/// Commands that take the lease away and make the execution eligible.
fn freed(attempt_state: &str) -> String {
    format!(
        "DEL :lease; HSET :core lifecycle_phase runnable ownership_state unowned eligibility_state eligible_now \
         attempt_state {attempt_state} current_lease_id - lease_expires_at -; ZREM :lane:gold:active e1; \
         ZADD :lane:gold:eligible 0 e1"
    )
}

/// Commands that end the execution.
fn ended(outcome: &str) -> String {
    format!(
        "DEL :lease; HSET :core lifecycle_phase terminal ownership_state unowned eligibility_state not_applicable \
         terminal_outcome {outcome} current_lease_id - lease_expires_at -; ZREM :lane:gold:active e1; \
         ZREM :lane:gold:eligible e1; ZADD :lane:gold:terminal 0 e1"
    )
}
