//! Values of every type, in the sizes at which a server changes how it keeps and writes them.

use valkey_sim::engine::Dialect;

use super::server::Args;

/// The commands that make each value, under the key `k`.
pub fn all(dialect: Dialect) -> Vec<Vec<Args>> {
    let mut random = Random(17);
    let mut values = Vec::new();
    for len in [0, 1, 5, 20, 21, 22, 30, 44, 45, 64, 100, 263, 300, 1_000, 5_000, 70_000] {
        for letters in [1, 2, 4, 26] {
            values.push(vec![words(["SET", "k"], [random.text(len, letters)])]);
        }
    }
    for number in [
        "0",
        "127",
        "128",
        "-128",
        "-129",
        "32767",
        "32768",
        "2147483647",
        "2147483648",
        "-2147483649",
        "01",
        "1.5",
        "9223372036854775807",
        "-9223372036854775808",
        "12345678901",
        "123456789012",
    ] {
        values.push(vec![words(["SET", "k"], [number.to_owned()])]);
    }
    values.push(vec![words(["SETBIT", "k"], ["1000", "1"].map(str::to_owned))]);
    for count in [1, 2, 10, 100, 600, 2_000] {
        values.push(vec![words(["RPUSH", "k"], (0..count).map(|_| random.element()).collect::<Vec<_>>())]);
    }
    let large = [9_000, 1, 3_000, 20_000].map(|len| random.text(len, 26));
    values.push(vec![words(["RPUSH", "k"], large)]);
    for (count, most) in [(1, 9), (5, 30_000), (100, 1 << 20), (512, 1 << 40)] {
        let members = (0..count).map(|_| (random.below(2 * most) as i64 - most as i64).to_string());
        values.push(vec![words(["SADD", "k"], members.collect::<Vec<_>>())]);
    }
    // Redis 7.0 keeps a set of texts in a hash table, in an order of its own.
    for count in [1, 5, 100].into_iter().filter(|_| dialect == Dialect::Valkey8) {
        values.push(vec![words(["SADD", "k"], (0..count).map(|_| random.text(6, 26)).collect::<Vec<_>>())]);
    }
    for count in [1, 5, 100, 512] {
        let pairs = (0..count).flat_map(|n| [format!("{}{n}", random.text(5, 26)), random.element()]);
        values.push(vec![words(["HSET", "k"], pairs.collect::<Vec<_>>())]);
    }
    const SCORES: [&str; 9] = ["1", "2.5", "-0.1", "1e20", "3", "inf", "1e-7", "123456789012345678", "0.1"];
    for count in [1, 5, 100, 128, 129, 1_000] {
        let members = (0..count).flat_map(|n| {
            let score = SCORES[random.below(SCORES.len() as u64) as usize];
            [score.to_owned(), format!("{}{n}", random.text(5, 26))]
        });
        values.push(vec![words(["ZADD", "k"], members.collect::<Vec<_>>())]);
    }
    for count in [1, 2, 6, 99, 100, 101, 250] {
        let mut commands: Vec<Args> = Vec::new();
        for n in 0..count {
            let (id, field) = (format!("{}-{n}", 1_000 + n / 3), ["f", "f", "g"][random.below(3) as usize]);
            let parts = [id, field.to_owned(), random.text(3, 26), "n".to_owned(), n.to_string()];
            commands.push(words(["XADD", "k"], parts));
        }
        for line in [
            "XGROUP CREATE k g1 0",
            "XREADGROUP GROUP g1 c1 COUNT 3 STREAMS k >",
            "XREADGROUP GROUP g1 c2 COUNT 2 STREAMS k >",
            "XGROUP CREATE k g2 $",
        ] {
            commands.push(line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
        }
        values.push(commands);
    }
    values
}

fn words(command: [&str; 2], rest: impl IntoIterator<Item = String>) -> Args {
    command.map(str::to_owned).into_iter().chain(rest).map(String::into_bytes).collect()
}

/// A small generator: what it makes must only be the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn text(&mut self, len: usize, letters: u64) -> String {
        (0..len).map(|_| char::from(b'a' + self.below(letters) as u8)).collect()
    }

    fn element(&mut self) -> String {
        match self.below(3) {
            0 => self.below(300).to_string(),
            1 => (self.below(1 << 40) as i64 - (1 << 39)).to_string(),
            _ => {
                let len = 1 + self.below(40) as usize;
                self.text(len, 26)
            }
        }
    }
}
