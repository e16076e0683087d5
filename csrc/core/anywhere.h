// Functions for processors and GPUs alike.
#pragma once

#ifdef __CUDACC__
#define HASHCORE_ANYWHERE __host__ __device__
#else
#define HASHCORE_ANYWHERE
#endif
