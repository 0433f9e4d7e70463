"""
Learn sparse codes
==================

``SparseAutoencoder`` writes each image as a sum of a few atoms of a dictionary. On digits the
atoms are strokes.
"""

from sklearn.datasets import load_digits

from latently import SparseAutoencoder, inspect, plot_images, plot_reconstructions

images = load_digits().images
model = SparseAutoencoder(128, n_active=10, max_epochs=40, random_state=0).fit(images)

# %%
# At most ten of the 128 components of each code are active.

codes = model.transform(images)
print("active components of a row:", (codes != 0).sum(axis=1).max())
print(inspect(model).sparsity)

# %%
# The atoms that are used most.

order = (codes != 0).mean(axis=0).argsort()[::-1]
atoms = plot_images(model.dictionary_[order[:32]].reshape(-1, 8, 8), title="Atoms, by use")

# %%
# Sums of ten atoms beside the images.

sums = plot_reconstructions(model, images)
