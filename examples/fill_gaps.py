"""
Fill missing values and say how sure it is
==========================================

``AutoencoderImputer`` fills each missing cell from the other columns. Observed cells stay as they
are. The report gives the error of each column, measured on cells that were held out.
"""

import numpy as np

from latently import AutoencoderImputer, plot_fills
from latently.datasets import make_transactions

made = make_transactions(1000, missing_fraction=0.1, random_state=0)
imputer = AutoencoderImputer(effort="fast", random_state=0).fit(made.data)
filled = imputer.transform(made.data)
print(imputer.fill_report_)

fills = plot_fills(imputer)

# %%
# The data are generated, so that the hidden values are known. An interval of 90 % should hold
# nine in ten of them.

lower, upper = imputer.interval(made.data, 0.9)
hidden = made.data["amount"].is_null().to_numpy(zero_copy_only=False)
low, high, truth = (
    table["amount"].to_numpy(zero_copy_only=False)[hidden]
    for table in (lower, upper, made.complete)
)
print(f"{np.mean((low <= truth) & (truth <= high)):.0%} of {hidden.sum()} hidden amounts")
