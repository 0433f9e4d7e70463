"""
Generate rows and measure their fidelity
========================================

A variational autoencoder generates images and table rows. Rows have the columns and types of the
training table. ``compare`` measures their fidelity, and whether they copy training rows.
"""

from sklearn.datasets import load_digits

from latently import LatentSampler, VariationalAutoencoder, compare, plot_images
from latently.datasets import make_transactions

digits = load_digits()
images = VariationalAutoencoder(16, beta=0.3, max_epochs=100, random_state=0).fit(digits.images)

# %%
# ``beta`` below 1 gives sharper images. The sampler fits a density to the codes of each class, so
# that it draws the digits that are asked for.

sampler = LatentSampler(autoencoder=images, conditional=True, random_state=0)
sampler.fit(digits.images, digits.target)
drawn = [sampler.sample(8, y=digit, random_state=digit) for digit in (3, 5, 7)]
samples = plot_images([image for rows in drawn for image in rows], title="Generated 3, 5 and 7")

# %%
# The same for a table of transactions.

table = make_transactions(1500, random_state=0).data.to_pandas()
model = VariationalAutoencoder(max_epochs=100, random_state=0).fit(table)
sampler = LatentSampler(autoencoder=model, random_state=0).fit(table)
made = sampler.sample(1000, random_state=0)
print(made.iloc[:3, :6])

# %%
# The comparison of the real and the synthetic table. An AUROC near 0.5 would mean that a
# classifier cannot tell synthetic rows from real ones. Here it can.

print(compare(table, made, target="amount"))
