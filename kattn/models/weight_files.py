"""Weight files written anew: compressed, and in half precision if asked for."""

import h5py

from kattn.files import replacing


def rewrite(path, halve=False):
    """Write a file of weights anew, with less bytes.

    The bytes of like significance stand together, and are compressed: of weights the
    upper ones are much alike. Keras reads the file as any other.

    Args:
        path: A `.weights.h5` file, which is replaced.
        halve: Whether what is float32 is kept as float16.
    """
    with (
        replacing(path) as made,
        h5py.File(made, "w") as anew,
        h5py.File(path) as former,
    ):

        def copy(name, item):
            if isinstance(item, h5py.Group):
                copied = anew.require_group(name)
            else:
                dtype = "float16" if halve and item.dtype == "float32" else item.dtype
                some = item.shape and item.size  # h5py compresses no scalars
                smaller = {"compression": "gzip", "shuffle": True} if some else {}
                data = item[()]
                copied = anew.create_dataset(name, data=data, dtype=dtype, **smaller)
            copied.attrs.update(item.attrs)

        former.visititems(copy)
        anew.attrs.update(former.attrs)
