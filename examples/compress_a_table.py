"""
Compress a table and check that it pays
=======================================

An autoencoder summarises 30 measurements of each tumour in two numbers. The summary compares its
reconstruction error with that of the column means and of a PCA of the same size.
"""

from sklearn.datasets import load_breast_cancer

from latently import Autoencoder, plot_map, plot_reconstructions

tumours = load_breast_cancer(as_frame=True)
model = Autoencoder(2, effort="fast", random_state=0).fit(tumours.data)
print(model.summary())

# %%
# The code has one row for each tumour. The diagnosis, which the model did not see, colours it.

codes = model.transform(tumours.data)
print(codes.shape)

code_map = plot_map(model, tumours.data, tumours.target_names[tumours.target])

# %%
# The code decodes back into the columns of the table.

rebuilt = model.inverse_transform(codes)
print(rebuilt.iloc[:3, :4].round(2))

rows = plot_reconstructions(model, tumours.data)
