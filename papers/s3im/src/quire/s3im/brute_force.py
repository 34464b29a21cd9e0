"""The definition of the loss, window by window in NumPy and float64, to compare the fast forms with."""

import numpy as np


def window(kernel: int, sigma: float = 1.5) -> np.ndarray:
    """Gaussian weights about `kernel // 2`."""
    line = np.array([np.exp(-((i - kernel // 2) ** 2) / (2 * sigma**2)) for i in range(kernel)])
    line /= line.sum()
    return line[:, None] * line[None]


def similarity(a: np.ndarray, b: np.ndarray, kernel: int, stride: int) -> float:
    """SSIM of two images `[h, w, c]` with a border of zeros."""
    border, weights, found = (kernel - 1) // 2, window(kernel), []
    a, b = (np.pad(np.asarray(x, float), ((border, border), (border, border), (0, 0))) for x in (a, b))
    for top in range(0, a.shape[0] - kernel + 1, stride):
        for left in range(0, a.shape[1] - kernel + 1, stride):
            for channel in range(a.shape[2]):
                x, y = (i[top : top + kernel, left : left + kernel, channel] for i in (a, b))
                mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
                var_x, var_y = (weights * x * x).sum() - mean_x**2, (weights * y * y).sum() - mean_y**2
                shared = (weights * x * y).sum() - mean_x * mean_y
                light = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
                found.append(light * (2 * shared + 0.03**2) / (var_x + var_y + 0.03**2))
    return float(np.mean(found))


def loss(
    source: np.ndarray, target: np.ndarray, orders: np.ndarray, patch: tuple[int, int], kernel: int, stride: int, layout: str
) -> float:
    """S3IM: one wide image of all orders behind each other, or the mean over one image an order."""
    height, width = patch

    def wide(colours: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return np.concatenate([colours[order] for order in chosen]).reshape(height, width * len(chosen), -1)

    groups = [orders] if layout == "code" else [order[None] for order in orders]
    return 1 - float(np.mean([similarity(wide(source, g), wide(target, g), kernel, stride) for g in groups]))
