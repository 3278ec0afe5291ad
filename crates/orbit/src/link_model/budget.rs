//! Link budgets: what power leaves of a rate.

use super::rain::{Weather, rain_db};
use crate::sky::SPEED_OF_LIGHT_KM_S;

/// Boltzmann's constant, dB(W/K/Hz): 10 log 1.380649e-23.
const BOLTZMANN_DBW: f64 = -228.599_2;
/// Planck's constant, J s (exact, SI 2019).
const PLANCK_J_S: f64 = 6.626_070_15e-34;

/// How one end of a link sees the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sight {
    /// Length, km.
    pub length_km: f64,
    /// Elevation above the horizon of the end on the ground, degrees; `None` between satellites.
    pub elevation_deg: Option<f64>,
    /// How far the other end lies off the axis of a fixed antenna, degrees; 0 for one that follows.
    pub off_axis_deg: f64,
    /// The weather on the way.
    pub weather: Weather,
}

impl Sight {
    /// Between two satellites that point at each other.
    pub fn in_space(length_km: f64) -> Self {
        Self { length_km, ..Self::default() }
    }
}

/// By how much a carrier is received higher than it was sent, Hz: above 0 while the ends come closer.
///
/// First order in v/c: what is left out is 1e-5 of the shift at orbital speed. `range_rate_km_s` is positive while they move apart.
pub fn doppler_hz(carrier_hz: f64, range_rate_km_s: f64) -> f64 {
    // df = -f v / c
    -carrier_hz * range_rate_km_s / SPEED_OF_LIGHT_KM_S
}

/// A radio link: free space, antenna, rain, noise, Shannon's limit less a margin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RadioBudget {
    /// Carrier, GHz.
    pub carrier_ghz: f64,
    /// Bandwidth, MHz.
    pub bandwidth_mhz: f64,
    /// Power of the transmitter times gain of its antenna on the axis, dBW.
    pub eirp_dbw: f64,
    /// Gain of the receiving antenna over the noise temperature of its receiver, dB/K.
    pub gain_to_noise_db_k: f64,
    /// Width of the wider beam at half power, degrees; weighs [`Sight::off_axis_deg`].
    pub beam_width_deg: f64,
    /// How far the antennas always point beside each other, degrees; on top of [`Sight::off_axis_deg`].
    pub off_axis_deg: f64,
    /// Losses that are always there: pointing, polarisation, gases; dB.
    pub fixed_loss_db: f64,
    /// How far modem and code stay from Shannon's limit, dB.
    pub margin_db: f64,
    /// The most that the best modulation carries, bit/s per Hz.
    pub efficiency_max: f64,
    /// The least signal to noise at which the receiver holds the link, dB.
    pub snr_min_db: f64,
}

impl RadioBudget {
    /// A Ka-band down-link of a low satellite to a small terminal on the ground, as broadband constellations have them.
    ///
    /// Estimates: 20 GHz and 250 MHz (a channel of such filings), 36 dBW, 12 dB/K (a terminal of half a metre), DVB-S2X
    /// with 4.5 bit/s per Hz at best and -2 dB at worst.
    pub const KA_GROUND: Self = Self {
        carrier_ghz: 20.0,
        bandwidth_mhz: 250.0,
        eirp_dbw: 36.0,
        gain_to_noise_db_k: 12.0,
        beam_width_deg: 2.5,
        off_axis_deg: 0.0,
        fixed_loss_db: 2.0,
        margin_db: 2.0,
        efficiency_max: 4.5,
        snr_min_db: -2.0,
    };

    /// Signal to noise, dB.
    pub fn snr_db(&self, sight: &Sight) -> f64 {
        let rain_db = match sight.elevation_deg {
            Some(elevation_deg) => rain_db(self.carrier_ghz, elevation_deg, &sight.weather),
            None => 0.0,
        };
        // C/N = EIRP - L_fs - L + G/T - k - 10 log B
        self.eirp_dbw + self.gain_to_noise_db_k
            - free_space_loss_db(sight.length_km, self.carrier_ghz)
            - self.off_axis_loss_db(self.off_axis_deg + sight.off_axis_deg)
            - self.fixed_loss_db
            - rain_db
            - BOLTZMANN_DBW
            - 10.0 * (self.bandwidth_mhz * 1.0e6).log10()
    }

    /// What the link carries, kbit/s; 0 below the least signal to noise.
    pub fn rate_kbps(&self, sight: &Sight) -> u32 {
        let snr_db = self.snr_db(sight);
        if snr_db < self.snr_min_db || snr_db.is_nan() {
            return 0;
        }
        // C = B log2(1 + S/N), S/N less the margin (Shannon 1949).
        let efficiency = (10.0_f64.powf((snr_db - self.margin_db) / 10.0)).ln_1p() / 2.0_f64.ln();
        whole_kbps(self.bandwidth_mhz * 1.0e3 * efficiency.min(self.efficiency_max))
    }

    /// The main lobe as a parabola, 12 (off / width)^2: 3 dB at half the width (ITU-R S.672, annex 1: 3 (off / half width)^2), 30 dB
    /// at most.
    fn off_axis_loss_db(&self, off_axis_deg: f64) -> f64 {
        (12.0 * (off_axis_deg / self.beam_width_deg).powi(2)).min(30.0)
    }
}

/// Free-space loss, dB (ITU-R P.525): `92.45 + 20 log f_GHz + 20 log d_km`.
pub(super) fn free_space_loss_db(length_km: f64, carrier_ghz: f64) -> f64 {
    92.45 + 20.0 * carrier_ghz.log10() + 20.0 * length_km.log10()
}

/// A laser link: diffraction, losses, photons per bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaserBudget {
    /// Wavelength, nm.
    pub wavelength_nm: f64,
    /// Power of the transmitter, W.
    pub power_w: f64,
    /// Diameter of either telescope, m.
    pub aperture_m: f64,
    /// Losses of pointing and optics of both ends, dB.
    pub loss_db: f64,
    /// What the receiver needs, photons per bit; with what keeps it from the ideal.
    pub photons_per_bit: f64,
    /// The most that the modem carries, kbit/s.
    pub rate_kbps_max: u32,
    /// The least at which it holds the link, kbit/s.
    pub rate_kbps_min: u32,
}

impl LaserBudget {
    /// A coherent terminal of 100 Gbit/s, which it keeps up to 5,000 km.
    ///
    /// Estimates: 1550 nm, 2 W, telescopes of 10 cm, 6 dB lost, 40 photons per bit (the ideal coherent receiver needs about
    /// ten), 1 Gbit/s at worst.
    pub const LASER_100G: Self = Self {
        wavelength_nm: 1550.0,
        power_w: 2.0,
        aperture_m: 0.1,
        loss_db: 6.0,
        photons_per_bit: 40.0,
        rate_kbps_max: 100_000_000,
        rate_kbps_min: 1_000_000,
    };

    /// What arrives, W.
    pub fn received_w(&self, length_km: f64) -> f64 {
        let wavelength_m = self.wavelength_nm * 1.0e-9;
        let (area_m2, length_m) =
            (core::f64::consts::PI * self.aperture_m * self.aperture_m / 4.0, length_km * 1.0e3);
        // Friis: P_r = P_t A_t A_r / (lambda d)^2; no more arrives than is sent, however near.
        let share = (area_m2 / (wavelength_m * length_m)).powi(2).min(1.0);
        self.power_w * share * 10.0_f64.powf(-self.loss_db / 10.0)
    }

    /// What the link carries, kbit/s; 0 below the least.
    pub fn rate_kbps(&self, sight: &Sight) -> u32 {
        // E = h c / lambda per photon
        let photon_j = PLANCK_J_S * SPEED_OF_LIGHT_KM_S * 1.0e3 / (self.wavelength_nm * 1.0e-9);
        let bit_s = self.received_w(sight.length_km) / (photon_j * self.photons_per_bit);
        let rate_kbps = whole_kbps(bit_s / 1.0e3).min(self.rate_kbps_max);
        if self.rate_kbps_min <= rate_kbps { rate_kbps } else { 0 }
    }
}

fn whole_kbps(kbps: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate that is not negative; beyond 4 Tbit/s it saturates"
    )]
    {
        kbps as u32
    }
}
