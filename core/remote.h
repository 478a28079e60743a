/* SPDX-License-Identifier: MIT */
/* The remote cache of a build: building.h has what the rooms say to it. */
#pragma once

#include "core/building.h"
