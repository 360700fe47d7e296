# Of a requirements file with hashes, the packages that hold CUDA's libraries.
/^[A-Za-z0-9]/ { wanted = /^(nvidia|cuda|triton)/ }
wanted
