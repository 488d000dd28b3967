"""How a backbone's weights are split between devices, where one cannot hold them."""

import keras


class Layouts:
    """Mixin before KerasHub's `Backbone`: layouts for `keras.distribution`."""

    @classmethod
    def _splits(cls, model):
        """A weight's path to its axes, `model` for the one that is split."""
        # By columns: each device looks up every word, which takes no message, and a
        # vocabulary of any size can be split.
        return {"(token|source|target)_embedding/embeddings": (None, model)}

    @classmethod
    def get_layout_map(
        cls,
        device_mesh,
        model_parallel_dim_name="model",
        data_parallel_dim_name="batch",
    ):
        """How `keras.distribution.ModelParallel` splits the weights.

        Word embeddings `(V, D)` lie `(V, D / n)` on each of the `n` devices of the
        mesh's model dimension, and in blocks of attention so do heads and the hidden
        layer of the feed-forward part. All other weights, and the splits along the
        mesh's data dimension, are copies. An optimizer's state lies as its weights do.

        Sizes that are split are multiples of `n`: `embedding_dim`, and of blocks
        `num_heads` and `feed_forward_dim`.

        Args:
            device_mesh: A `keras.distribution.DeviceMesh`.
            model_parallel_dim_name: The mesh's dimension that weights are split along.
            data_parallel_dim_name: The mesh's dimension that batches are split along.

        Returns:
            A `keras.distribution.LayoutMap`.

        Raises:
            ValueError: If the mesh is none, or has not these two dimensions.

        Example:
            >>> mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"))
            >>> layouts = kattn.models.BiLSTMAttentionBackbone.get_layout_map(mesh)
            >>> layouts["token_embedding/embeddings"].axes
            (None, 'model')
            >>> data_and_model = keras.distribution.ModelParallel(layout_map=layouts)

        Reference:
            Heads and hidden layers are split as by Shoeybi et al. 2019,
            arXiv:1909.08053, section 3.
        """
        if not isinstance(device_mesh, keras.distribution.DeviceMesh):
            raise ValueError(
                "`device_mesh` is a `keras.distribution.DeviceMesh`. Received: "
                f"{device_mesh!r}"
            )
        wanted = {
            "model_parallel_dim_name": model_parallel_dim_name,
            "data_parallel_dim_name": data_parallel_dim_name,
        }
        names = tuple(device_mesh.axis_names)
        for argument, name in wanted.items():
            if name not in names:
                raise ValueError(
                    f"`{argument}` is one of the mesh's dimensions {names}. Received: "
                    f"{name!r}"
                )
        if model_parallel_dim_name == data_parallel_dim_name:
            raise ValueError(
                "Weights and batches are split along two dimensions of the mesh, "
                f"{names}. Received: {model_parallel_dim_name!r} for both"
            )
        layouts = keras.distribution.LayoutMap(device_mesh)
        for path, axes in cls._splits(model_parallel_dim_name).items():
            layouts[path] = axes
        return layouts
