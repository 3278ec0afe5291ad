"""Makes sky.json, what an independent astronomy library says of made-up orbits, for ../sky_vectors.rs.

    pip install skyfield==1.55 skyfield-data==7.0.0 sgp4==2.27 jplephem==2.24 numpy==2.4.6
    python3 make_sky_vectors.py > sky.json

Positions: Skyfield's SGP4 in ITRS (its own delta T, IAU 2000A nutation, no polar motion). Looks: geometric, no refraction.
Eclipses: disks of the Sun (DE421, apparent: with light time and aberration, radius 695,700 km) and of the Earth (a sphere of
6,378.137 km without atmosphere) as the satellite sees them; penumbra from first to last contact, umbra while all is hidden.
"""

import json
import sys

import numpy as np
from skyfield.api import EarthSatellite, load_file, load, wgs84
from skyfield.framelib import itrs
from skyfield_data import get_skyfield_data_path

SUN_RADIUS_KM = 695_700.0
EARTH_RADIUS_KM = 6_378.137
START = (2025, 3, 20)
DAY = 86_400.0
STATIONS = [
    ("Graz", 47.0707, 15.4409, 353.0),
    ("Honolulu", 21.3069, -157.8583, 0.0),
    ("La Paz", -16.4897, -68.1193, 3_640.0),
    ("Longyearbyen", 78.2232, 15.6267, 450.0),
    ("Ushuaia", -54.8019, -68.3030, 20.0),
]
MASK_DEG = 10.0


def signed(line):
    """The line with its checksum."""
    return line + str(sum(int(c) if c.isdigit() else c == "-" for c in line) % 10)


def element_set(number, name, i, node, e, w, m, n):
    """A made-up object at the start of 20 March 2025."""
    first = f"1 {number:05}U 25001A   25079.00000000  .00000000  00000-0  00000-0 0  999"
    second = f"2 {number:05} {i:8.4f} {node:8.4f} {round(e * 1e7):07} {w:8.4f} {m:8.4f} {n:11.8f}    1"
    return name, signed(first), signed(second)


def element_sets():
    """A Walker shell 53:12/4/1 at 550 km, and one orbit each of four other kinds."""
    shell = [
        element_set(90001 + plane * 3 + slot, f"WALKER-{plane}-{slot}", 53.0, 90.0 * plane, 0.0001, 0.0,
                    (120.0 * slot + 30.0 * plane) % 360.0, 15.05)
        for plane in range(4)
        for slot in range(3)
    ]
    return shell + [
        element_set(90101, "MOLNIYA", 63.4, 200.0, 0.72, 270.0, 10.0, 2.0062),
        element_set(90102, "GEO", 0.05, 80.0, 0.0002, 100.0, 40.0, 1.0027379),
        element_set(90103, "SUN-SYNCHRONOUS", 97.6, 30.0, 0.001, 90.0, 270.0, 15.02),
        element_set(90104, "TRANSFER", 27.0, 10.0, 0.6, 180.0, 0.0, 3.5),
    ]


def clock(ts, seconds):
    """The instants so many seconds of UTC after the start."""
    return ts.utc(*START, 0, 0, np.asarray(seconds, dtype=float))


def when(ts, second):
    return clock(ts, second).utc_iso(places=3) if second is not None else None


def depth(ts, satellite, eph, umbra):
    """The overlap of the disks beyond second (umbra) or first contact, rad, as a function of seconds."""
    def at(seconds):
        t = clock(ts, seconds)
        r = satellite.at(t).xyz.km
        sun = eph["earth"].at(t).observe(eph["sun"]).apparent().xyz.km - r
        r_len, sun_len = np.linalg.norm(r, axis=0), np.linalg.norm(sun, axis=0)
        a, b = np.arcsin(SUN_RADIUS_KM / sun_len), np.arcsin(EARTH_RADIUS_KM / r_len)
        c = np.arccos(-(r * sun).sum(axis=0) / (r_len * sun_len))
        return b - a - c if umbra else a + b - c
    return at


def zeros(f, seconds):
    """Where f changes sign, ascending, to a millisecond, and whether it is positive at the start."""
    inside = 0 <= f(seconds)
    where = np.nonzero(inside[1:] != inside[:-1])[0]
    low, high = seconds[where], seconds[where + 1]
    for _ in range(20):
        if len(low) == 0:
            break
        middle = (low + high) / 2
        same = (0 <= f(middle)) == inside[where]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return [float(s) for s in (low + high) / 2], bool(inside[0])


def spans(f):
    """[begin, end] in which f is positive; null where that lies outside of the day."""
    marks, open_first = zeros(f, np.arange(0.0, DAY + 1.0, 5.0))
    marks = ([None] if open_first else []) + marks
    marks = marks + ([None] if len(marks) % 2 else [])
    return list(zip(marks[::2], marks[1::2]))


def main():
    ts = load.timescale(builtin=True)
    eph = load_file(get_skyfield_data_path() + "/de421.bsp")
    sets = element_sets()
    satellites = [EarthSatellite(first, second, name, ts) for name, first, second in sets]
    places = {name: wgs84.latlon(lat, lon, elevation_m=alt) for name, lat, lon, alt in STATIONS}
    half_hours = np.arange(0.0, DAY + 1.0, 3600.0)
    out = {"tle": "".join("\n".join(lines) + "\n" for lines in sets), "mask_deg": MASK_DEG,
           "stations": [dict(zip(("name", "lat_deg", "lon_deg", "alt_m"), s)) for s in STATIONS],
           "start": when(ts, 0.0), "end": when(ts, DAY), "positions": [], "looks": [], "passes": [], "eclipses": []}
    for satellite in satellites:
        t = clock(ts, half_hours)
        ecef = satellite.at(t).frame_xyz(itrs).km.T
        for second, km in zip(half_hours, ecef):
            out["positions"].append([satellite.name, when(ts, second), [round(float(x), 4) for x in km]])
        for name, place in places.items():
            difference = satellite - place
            el, az, distance = difference.at(t).altaz()
            for k, second in enumerate(half_hours):
                if -20.0 < el.degrees[k]:
                    out["looks"].append([satellite.name, name, when(ts, second), round(float(az.degrees[k]), 5),
                                         round(float(el.degrees[k]), 5), round(float(distance.km[k]), 4)])
            height = lambda s: difference.at(clock(ts, s)).altaz()[0].degrees - MASK_DEG
            for rise, sets_at in spans(height):
                out["passes"].append([satellite.name, name, when(ts, rise), when(ts, sets_at)])
        for kind in ("penumbra", "umbra"):
            for enter, leave in spans(depth(ts, satellite, eph, kind == "umbra")):
                out["eclipses"].append([satellite.name, kind, when(ts, enter), when(ts, leave)])
    rows = {key: value for key, value in out.items() if not isinstance(value, list)}
    body = json.dumps(rows, indent=1)[:-2]
    for key in ("stations", "positions", "looks", "passes", "eclipses"):
        body += f',\n "{key}": [\n' + ",\n".join("  " + json.dumps(row) for row in out[key]) + "\n ]"
    sys.stdout.write(body + "\n}\n")


main()
