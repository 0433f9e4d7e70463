"""
Map handwritten digits
======================

``MapAutoencoder`` places each image in the plane so that similar images lie side by side. New
images are placed by the same model, without another fit.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from latently import MapAutoencoder, plot_map, plot_plane

digits = load_digits()
seen, unseen, _, labels = train_test_split(
    digits.images, digits.target, test_size=600, random_state=0
)
model = MapAutoencoder(max_epochs=20, random_state=0).fit(seen)

# %%
# These 600 images were not in ``fit``. The labels only colour the points. The title says how
# often the neighbours on the map share their label.

unseen_map = plot_map(model, unseen, labels)

# %%
# Every place on the map decodes into an image.

plane = plot_plane(model, seen, n_steps=12)
