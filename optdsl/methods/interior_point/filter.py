"""The filter: pairs of violation and barrier objective that no later point may be worse than in both.

Waechter and Biegler (2006), section 2.3; equation numbers are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

GAMMA_THETA, GAMMA_PHI = 1e-5, 1e-8
"""Margins by which a point must beat the filter (18)."""
ETA_PHI = 1e-8
"""Armijo's share of the predicted decrease (20)."""
S_THETA, S_PHI, DELTA = 1.1, 2.3, 1.0
LARGE = 1e100
"""Slopes and violations count as no larger: powers of larger ones are no numbers."""
"""Exponents and factor of the switching condition (19)."""
ROUNDING = 10 * 2.2e-16
"""Comparisons are loosened by this relative to the values compared: a decrease below it is not seen (section 3.5)."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Corners (theta, phi), margins taken off already; theta_largest bounds the violation of every point (21).

    theta_small: below it a step that promises descent is judged by the objective alone (19).
    """

    theta_largest: float
    theta_small: float
    corners: tuple[tuple[float, float], ...] = ()

    @staticmethod
    def at(theta: float) -> Filter:
        """The empty filter for a start with this violation."""
        return Filter(1e4 * max(1.0, theta), 1e-4 * max(1.0, theta))

    def accepts(self, theta: float, phi: float) -> bool:
        """Whether no corner dominates the pair."""
        slack = ROUNDING * abs(phi)
        return theta <= self.theta_largest and all(theta < t or phi - slack <= p for t, p in self.corners)

    def with_point(self, theta: float, phi: float) -> Filter:
        """The filter that also keeps later points away from this one (22)."""
        corner = ((1 - GAMMA_THETA) * theta, phi - GAMMA_PHI * theta)
        kept = tuple(c for c in self.corners if c[0] < corner[0] or c[1] < corner[1])
        return Filter(self.theta_largest, self.theta_small, (*kept, corner))

    def emptied(self) -> Filter:
        """Without corners, as for a new barrier problem."""
        return Filter(self.theta_largest, self.theta_small)

    def switches(self, alpha: float, slope: float, theta: float) -> bool:
        """Whether a step alpha with this slope promises enough descent to be judged by the objective (19)."""
        if not (slope < 0 and theta <= self.theta_small):
            return False
        return bool(alpha * min(-slope, LARGE) ** S_PHI > DELTA * min(theta, LARGE) ** S_THETA)

    def shortest(self, slope: float, theta: float) -> float:
        """The step below which the search gives up, for restoration to take over (23)."""
        smallest = GAMMA_THETA
        if slope < 0:
            smallest = min(GAMMA_THETA, GAMMA_PHI * theta / -slope)
            if theta <= self.theta_small:
                smallest = min(smallest, DELTA * min(theta, LARGE) ** S_THETA / min(-slope, LARGE) ** S_PHI)
        return GAMMA_ALPHA * smallest


GAMMA_ALPHA = 0.05


def decreases(change: float, phi: float, alpha: float, slope: float) -> bool:
    """Armijo's condition on the change of phi from this value along a step alpha (20)."""
    return change <= ROUNDING * abs(phi) + ETA_PHI * alpha * slope


def improves(theta_new: float, change: float, theta: float, phi: float) -> bool:
    """Whether violation or objective improves by the margin on the old point (18)."""
    return theta_new <= (1 - GAMMA_THETA) * theta or change <= ROUNDING * abs(phi) - GAMMA_PHI * theta
