//! Where people are: a coarse grid of our own, a few dozen regions with their millions.
//!
//! Rounded by hand to what decides about load: how many people share an hour of the day. Not a census.

/// A region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Its name.
    pub name: &'static str,
    /// Where its people are in the middle, degrees north.
    pub lat_deg: f64,
    /// Degrees east.
    pub lon_deg: f64,
    /// How many, in millions.
    pub millions: u32,
}

const fn region(name: &'static str, lat_deg: f64, lon_deg: f64, millions: u32) -> Region {
    Region { name, lat_deg, lon_deg, millions }
}

/// All regions.
pub const REGIONS: [Region; 42] = [
    region("California", 37.0, -120.0, 40),
    region("Texas and the mountains", 32.0, -100.0, 70),
    region("Midwest", 41.0, -88.0, 70),
    region("South-east of the USA", 33.0, -82.0, 90),
    region("North-east of the USA", 41.0, -75.0, 70),
    region("Canada", 45.5, -75.0, 25),
    region("Mexico", 19.0, -99.0, 180),
    region("Caribbean", 18.5, -71.0, 45),
    region("Colombia", 6.0, -73.0, 80),
    region("Peru", -9.0, -77.0, 50),
    region("South of Brazil", -22.0, -46.0, 110),
    region("North of Brazil", -8.0, -37.0, 60),
    region("Argentina and Chile", -34.0, -62.0, 65),
    region("British Isles", 53.0, -2.0, 73),
    region("France and the Low Countries", 48.5, 3.0, 100),
    region("Central Europe", 50.0, 12.0, 130),
    region("Iberia and the Maghreb", 37.0, -4.0, 140),
    region("Italy and the Balkans", 43.0, 15.0, 110),
    region("Ukraine and its neighbours", 50.0, 30.0, 90),
    region("West of Russia", 55.0, 40.0, 90),
    region("Turkey and the Levant", 37.0, 36.0, 150),
    region("Nile", 27.0, 31.0, 160),
    region("Arabia", 24.0, 46.0, 80),
    region("Iran and Iraq", 33.0, 49.0, 135),
    region("West Africa", 9.0, 4.0, 400),
    region("Congo", -3.0, 20.0, 150),
    region("East Africa", 3.0, 37.0, 330),
    region("South of Africa", -26.0, 28.0, 120),
    region("Pakistan", 31.0, 71.0, 280),
    region("North of India", 27.0, 80.0, 750),
    region("South of India", 14.0, 78.0, 550),
    region("Bengal", 23.0, 91.0, 250),
    region("Mekong", 15.0, 103.0, 200),
    region("Java", -7.0, 110.0, 290),
    region("Philippines", 13.0, 122.0, 115),
    region("South of China", 25.0, 112.0, 500),
    region("North of China", 36.0, 116.0, 600),
    region("Sichuan", 30.0, 104.0, 250),
    region("Korea", 37.0, 127.5, 77),
    region("Japan", 36.0, 138.0, 124),
    region("Australia", -34.0, 149.0, 30),
    region("Central Asia", 42.0, 70.0, 80),
];

/// Where data centres are built first: the regions of the first ones that large operators opened, by their place in [`REGIONS`].
pub const CLOUDS: [usize; 8] = [4, 15, 30, 39, 10, 27, 40, 0];

/// To which region each of so many nodes goes, so that people share them evenly (V. D'Hondt, 1878).
pub fn shared_by_people(nodes: usize) -> Vec<usize> {
    let mut given = [0_u32; REGIONS.len()];
    let next = |given: &mut [u32; REGIONS.len()]| {
        // a/b < c/d as a·d < c·b; of equal ones the first.
        let worth = |at: usize| (u64::from(REGIONS[at].millions), u64::from(given[at]) + 1);
        let mut best = 0;
        for at in 1..REGIONS.len() {
            let (mine, its) = (worth(at), worth(best));
            if its.0 * mine.1 < mine.0 * its.1 {
                best = at;
            }
        }
        given[best] += 1;
        best
    };
    (0..nodes).map(|_| next(&mut given)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_go_where_people_are() {
        let of_200 = shared_by_people(200);
        let count = |region: usize| of_200.iter().filter(|at| **at == region).count();
        let most = (0..REGIONS.len()).max_by_key(|at| (count(*at), REGIONS[*at].millions));
        assert_eq!(most.map(|at| REGIONS[at].name), Some("North of India"));
        assert!(3 * count(36) / 2 < 2 * count(29), "600 and 750 millions");
        assert_eq!(of_200[..10], shared_by_people(10));
    }
}
