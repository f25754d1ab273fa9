"""Read the machine's energy counters, where it has them and lets them be read."""

from __future__ import annotations

from pathlib import Path

#: One folder for each processor package (Intel's and AMD's RAPL by Linux).
PACKAGES = Path("/sys/class/powercap")


class EnergyMeter:
    """Measure the energy in joules that processors and NVIDIA GPUs of the whole machine take from now on.

    Other programs count too: a figure is of use only on an otherwise idle machine.
    """

    def __init__(self, packages: Path = PACKAGES) -> None:
        self.packages = packages
        self.before = self._counters()

    def joules(self) -> float | None:
        """Return the energy since the start; None where nothing can be read."""
        after = self._counters()
        if not self.before or after.keys() != self.before.keys():
            return None
        total = 0.0
        for place, (value, wraps_at) in after.items():
            change = value - self.before[place][0]
            total += change if change >= 0 else change + wraps_at
        return total / 1e6

    def _counters(self) -> dict[str, tuple[int, int]]:
        """Return microjoules and the value at which a counter starts again, by place."""
        found = {}
        for folder in sorted(self.packages.glob("*-rapl:?")):
            try:
                value, largest = (
                    int((folder / name).read_text()) for name in ("energy_uj", "max_energy_range_uj")
                )
            except (OSError, ValueError):  # readable by the administrator alone, on many systems
                continue
            found[folder.name] = value, largest
        try:
            import pynvml

            pynvml.nvmlInit()
            for index in range(pynvml.nvmlDeviceGetCount()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                millijoules = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
                found[f"gpu {index}"] = 1000 * millijoules, 0
        except Exception:  # no such package, no GPU, or one without a counter: pynvml has errors of its own
            pass
        return found
