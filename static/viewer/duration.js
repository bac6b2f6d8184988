// Time that is left, in words; webapp/jobs/templatetags/durations.py says the same on pages.

/** 40 s, 12 min, 2 h 5 min; rounded up. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 120) return `${whole} s`;
  const minutes = Math.ceil(whole / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
