//! `math.random` as Valkey has it: its own 48-bit generator, the same on every machine.

use super::raw::{Lua, Native, Outcome, native};

/// What replaces Lua's own.
pub const FUNCTIONS: &[(&str, Native)] = &[("random", native!(random)), ("randomseed", native!(randomseed))];

/// The state of `drand48`'s generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random(u64);

impl Default for Random {
    /// Where a server's generator starts.
    fn default() -> Self {
        Self(0x1234_ABCD_330E)
    }
}

impl Random {
    /// The generator after `math.randomseed(seed)`.
    pub fn seeded(seed: u32) -> Self {
        Self(u64::from(seed) << 16 | 0x330E)
    }

    /// The next 31 bits.
    fn next(&mut self) -> u32 {
        self.0 = (self.0.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB)) & 0xFFFF_FFFF_FFFF;
        (self.0 >> 17) as u32
    }

    /// A number from 0 up to, but not including, 1.
    fn fraction(&mut self) -> f64 {
        const MAX: u32 = i32::MAX as u32;
        f64::from(self.next() % MAX) / f64::from(MAX)
    }
}

fn random(lua: &mut Lua<'_>) -> Outcome {
    let fraction = lua.with(|state| state.persistent.random.fraction());
    let value = match lua.top() {
        0 => fraction,
        1 => {
            let high = lua.check_int(1);
            if high < 1 {
                return Err(lua.bad_argument(1, c"interval is empty"));
            }
            (fraction * f64::from(high)).floor() + 1.0
        }
        2 => {
            let (low, high) = (lua.check_int(1), lua.check_int(2));
            if low > high {
                return Err(lua.bad_argument(2, c"interval is empty"));
            }
            (fraction * (f64::from(high) - f64::from(low) + 1.0)).floor() + f64::from(low)
        }
        _ => return Err(lua.error_here(format_args!("wrong number of arguments"))),
    };
    lua.push_number(value);
    Ok(1)
}

fn randomseed(lua: &mut Lua<'_>) -> Outcome {
    let seed = lua.check_integer(1) as u32;
    lua.with(|state| state.persistent.random = Random::seeded(seed));
    Ok(0)
}
