//! Rain on the way to the ground: specific attenuation of ITU-R P.838-3 along a path as P.618 cuts it.
//!
//! Simplified: the rain height is that of the latitude (P.618-5) and not of the map of P.839, the rain rate is given and not
//! drawn from the statistics of P.837, and gases, clouds and scintillation belong to a budget's fixed loss.

/// The rain over a station.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// How much it rains, mm/h; 0 for none.
    pub rain_mm_h: f64,
    /// Latitude of the station, degrees: says how high the rain begins.
    pub lat_deg: f64,
    /// Height of the station, km.
    pub alt_km: f64,
}

/// Below this elevation the path of P.618 no longer holds, degrees; lower links count as this.
const ELEVATION_MIN_DEG: f64 = 5.0;

/// One row of P.838-3: `sum of a exp(-((log f - b) / c)^2) + m log f + c`.
#[derive(Clone, Copy, Debug)]
struct Fit<const N: usize> {
    bells: [[f64; 3]; N],
    slope: f64,
    offset: f64,
}

impl<const N: usize> Fit<N> {
    fn at(&self, log_ghz: f64) -> f64 {
        let bell = |[a, b, c]: &[f64; 3]| a * (-((log_ghz - b) / c).powi(2)).exp();
        self.bells.iter().map(bell).sum::<f64>() + self.slope * log_ghz + self.offset
    }
}

/// log k, horizontal polarisation (table 1 of P.838-3).
const K_H: Fit<4> = Fit {
    bells: [
        [-5.339_80, -0.100_08, 1.130_98],
        [-0.353_51, 1.269_70, 0.454_00],
        [-0.237_89, 0.860_36, 0.153_54],
        [-0.941_58, 0.645_52, 0.168_17],
    ],
    slope: -0.189_61,
    offset: 0.711_47,
};
/// log k, vertical polarisation (table 2).
const K_V: Fit<4> = Fit {
    bells: [
        [-3.805_95, 0.569_34, 0.810_61],
        [-3.449_65, -0.229_11, 0.510_59],
        [-0.399_02, 0.730_42, 0.118_99],
        [0.501_67, 1.073_19, 0.271_95],
    ],
    slope: -0.163_98,
    offset: 0.632_97,
};
/// alpha, horizontal polarisation (table 3).
const ALPHA_H: Fit<5> = Fit {
    bells: [
        [-0.143_18, 1.824_42, -0.551_87],
        [0.295_91, 0.775_64, 0.198_22],
        [0.321_77, 0.637_73, 0.131_64],
        [-5.376_10, -0.962_30, 1.478_28],
        [16.172_1, -3.299_80, 3.439_90],
    ],
    slope: 0.678_49,
    offset: -1.955_37,
};
/// alpha, vertical polarisation (table 4).
const ALPHA_V: Fit<5> = Fit {
    bells: [
        [-0.077_71, 2.338_40, -0.762_84],
        [0.567_27, 0.955_45, 0.540_39],
        [-0.202_38, 1.145_20, 0.268_09],
        [-48.299_1, 0.791_669, 0.116_226],
        [48.583_3, 0.791_459, 0.116_479],
    ],
    slope: -0.053_739,
    offset: 0.834_33,
};

/// k and alpha for horizontal and vertical polarisation at a frequency of 1 to 1000 GHz.
pub(super) fn coefficients(carrier_ghz: f64) -> [(f64, f64); 2] {
    let log_ghz = carrier_ghz.log10();
    [
        (10.0_f64.powf(K_H.at(log_ghz)), ALPHA_H.at(log_ghz)),
        (10.0_f64.powf(K_V.at(log_ghz)), ALPHA_V.at(log_ghz)),
    ]
}

/// Attenuation per kilometre of rain, dB/km, for circular polarisation, as satellites use it.
pub fn specific_rain_db_km(carrier_ghz: f64, rain_mm_h: f64) -> f64 {
    let [(k_h, alpha_h), (k_v, alpha_v)] = coefficients(carrier_ghz);
    // Circular (tilt of 45 degrees): k = (kH + kV) / 2, alpha = (kH aH + kV aV) / (2 k)
    let k = f64::midpoint(k_h, k_v);
    let alpha = (k_h * alpha_h + k_v * alpha_v) / (2.0 * k);
    // gamma = k R^alpha
    k * rain_mm_h.powf(alpha)
}

/// Attenuation of the way up through the rain, dB; 0 without rain and above it.
pub fn rain_db(carrier_ghz: f64, elevation_deg: f64, weather: &Weather) -> f64 {
    let height_km = rain_height_km(weather.lat_deg) - weather.alt_km;
    let wet = 0.0 < weather.rain_mm_h && 0.0 < height_km;
    if !wet {
        return 0.0;
    }
    let (sin, cos) = elevation_deg.max(ELEVATION_MIN_DEG).to_radians().sin_cos();
    // L_s = (h_R - h_S) / sin e; L_G = L_s cos e
    let slant_km = height_km / sin;
    let ground_km = slant_km * cos;
    let gamma = specific_rain_db_km(carrier_ghz, weather.rain_mm_h);
    // Rain is patchy: r = 1 / (1 + 0.78 sqrt(L_G gamma / f) - 0.38 (1 - exp(-2 L_G))) (P.618, horizontal reduction)
    let patchy = 1.0 + 0.78 * (ground_km * gamma / carrier_ghz).sqrt()
        - 0.38 * (1.0 - (-2.0 * ground_km).exp());
    gamma * slant_km / patchy
}

/// Height of the rain above the sea, km (ITU-R P.618-5): 5 km around the equator; less by 75 m for each degree beyond 23
/// in the north and by 100 m for each degree beyond 21 in the south, until none is left.
fn rain_height_km(lat_deg: f64) -> f64 {
    let less_km = if lat_deg < 0.0 { 0.1 * (-lat_deg - 21.0) } else { 0.075 * (lat_deg - 23.0) };
    (5.0 - less_km.max(0.0)).max(0.0)
}
