/* SPDX-License-Identifier: MIT */
/* The cutter: a gear hash that forgets a byte after 64 others, looked at from CHUNK_MIN on. A cut is rarer
 * before CHUNK_NORMAL than behind it, which keeps most chunks near that size. */
#include "cache/chunk.h"

static const uint64_t rare = UINT64_C(0xffffc00000000000);   /* top 18 bits */
static const uint64_t common = UINT64_C(0xfffc000000000000); /* top 14 bits */

/* The hash rolls on from *h over p[from .. to); the position behind the byte that cuts, or 0. Four bytes at a
 * time: their contributions do not wait for each other, and a cut among them is rare. */
static size_t roll(const uint8_t *p, size_t from, size_t to, uint64_t mask, uint64_t *h)
{
    uint64_t x = *h;
    size_t i = from;
    for (; i + 4 <= to; i += 4) {
        uint64_t g0 = chunk_gear[p[i]], g1 = (g0 << 1) + chunk_gear[p[i + 1]];
        uint64_t g2 = (g1 << 1) + chunk_gear[p[i + 2]], g3 = (g2 << 1) + chunk_gear[p[i + 3]];
        uint64_t x0 = (x << 1) + g0, x1 = (x << 2) + g1, x2 = (x << 3) + g2;
        x = (x << 4) + g3;
        if (!(x0 & mask) | !(x1 & mask) | !(x2 & mask) | !(x & mask)) {
            return i + (!(x0 & mask) ? 1 : !(x1 & mask) ? 2 : !(x2 & mask) ? 3 : 4);
        }
    }
    for (; i < to; i++) {
        x = (x << 1) + chunk_gear[p[i]];
        if (!(x & mask)) {
            return i + 1;
        }
    }
    *h = x;
    return 0;
}

size_t chunk_cut(const void *bytes, size_t n)
{
    size_t end = n < CHUNK_MAX ? n : CHUNK_MAX;
    size_t normal = end < CHUNK_NORMAL ? end : CHUNK_NORMAL;
    uint64_t h = 0;
    size_t cut = roll(bytes, CHUNK_MIN, normal, rare, &h);
    if (!cut) {
        cut = roll(bytes, normal < CHUNK_MIN ? CHUNK_MIN : normal, end, common, &h);
    }
    return cut ? cut : end;
}

const uint64_t chunk_gear[256] = {
    UINT64_C(0x1a113adedf5e02a0), UINT64_C(0xa630f9724f6b1a9c), UINT64_C(0x66148ccbcdd220e6),
    UINT64_C(0xc994f223a3e6b6fe), UINT64_C(0x74ce7d1842937318), UINT64_C(0xc0694683f0ccb25e),
    UINT64_C(0xa33f1e616d4881f0), UINT64_C(0xe426b0a5cb4b55b4), UINT64_C(0x353aeee30c5282cf),
    UINT64_C(0xae1c7f2fc042eec0), UINT64_C(0xc5bf99a0733b53c3), UINT64_C(0x64d27bebeabafeb0),
    UINT64_C(0x1a3a3b70aec582f6), UINT64_C(0xb43009e93f0aa59a), UINT64_C(0x45fe5ce9b0e110ed),
    UINT64_C(0x83aecefa13ba189b), UINT64_C(0xabb8d6b3d0ef85fa), UINT64_C(0x5dbc92fff888b646),
    UINT64_C(0x3737efbd07a55a97), UINT64_C(0x4c176f7e4d9c3c78), UINT64_C(0x7ff2ebdccee05479),
    UINT64_C(0xb4bf29756fc6d319), UINT64_C(0xe69c3e9b75ecb5ab), UINT64_C(0x017fba6173db9dfe),
    UINT64_C(0xb15517dc26472248), UINT64_C(0x55ea3330545ba3c8), UINT64_C(0x85584bbda4517ed6),
    UINT64_C(0x718c067b6d6df428), UINT64_C(0x7b0c5c77d4f596ea), UINT64_C(0x31dba3411881a554),
    UINT64_C(0xeb79b995be9e4520), UINT64_C(0x00fd625e256d8971), UINT64_C(0x9b670ec8c001cb31),
    UINT64_C(0xf394be076ea5ebff), UINT64_C(0x90c7ca81798ad2f0), UINT64_C(0xc47d36f822befd8a),
    UINT64_C(0x1055e9b068be3edd), UINT64_C(0x87e26abab0c3c173), UINT64_C(0x7fb1c2e6b1dd0b10),
    UINT64_C(0xa77c13146525c0ad), UINT64_C(0xad6d7581fcd98b93), UINT64_C(0xd07b750b666091c2),
    UINT64_C(0xb456cc24e30f32d4), UINT64_C(0x057d7a42f7dd9fd6), UINT64_C(0x25c7f7782f653dbc),
    UINT64_C(0x6570d31641b4099f), UINT64_C(0xd8fa370236ff523b), UINT64_C(0x908616acde1b0798),
    UINT64_C(0xf005ae2475cb3b29), UINT64_C(0xaaac4b7061418c53), UINT64_C(0x9fb91454b3092a36),
    UINT64_C(0x90223592a63dab48), UINT64_C(0xcdad948cd8790aa0), UINT64_C(0x96bfcc50c638b6de),
    UINT64_C(0x75a5bfa2ac81cbc8), UINT64_C(0xe1a96662d5551916), UINT64_C(0xa1b88f04fd19924a),
    UINT64_C(0xd59fe1291197e319), UINT64_C(0x10db80d3f0f05363), UINT64_C(0x8a565d40bd40a93a),
    UINT64_C(0x48cf4bbcf81ca93c), UINT64_C(0x4238f9b1fd86efae), UINT64_C(0xe411e4ce1810158d),
    UINT64_C(0x83012be59d51ccf5), UINT64_C(0x7a9c6a81b0b10996), UINT64_C(0xe84fa6dc141936c9),
    UINT64_C(0x74b9acc697fb10d2), UINT64_C(0x153dfda95b5eb9c0), UINT64_C(0x379bfadeccba93ad),
    UINT64_C(0x87f4443e7332f598), UINT64_C(0x73652ab867f93e07), UINT64_C(0x87cdc030a04a143b),
    UINT64_C(0x1e969f840aa1a139), UINT64_C(0x570a15be2bb865c0), UINT64_C(0x76aafb27f52b0140),
    UINT64_C(0xc7ab625b05a2953c), UINT64_C(0x12244368454c9116), UINT64_C(0x03aafb1fa909f769),
    UINT64_C(0x7117d4cef0158b31), UINT64_C(0xdace32687831d8ac), UINT64_C(0x2ae8d73f42f6a3ae),
    UINT64_C(0x44c5c326166d62ae), UINT64_C(0xc059b0695e2bd74d), UINT64_C(0x83971eda668deb48),
    UINT64_C(0xe5a7b3068d9415d7), UINT64_C(0xce590e3ac9ed1083), UINT64_C(0xc211509b25a581e2),
    UINT64_C(0x5778e6b35b52b50e), UINT64_C(0xaf4d4c65245b3b8d), UINT64_C(0x78cddb2c09769147),
    UINT64_C(0xfbf132a807047722), UINT64_C(0xc7c63534c0efedfe), UINT64_C(0xf1550d5fa10e5a74),
    UINT64_C(0x2b6db810865257a4), UINT64_C(0xc9a74f603ef2cad4), UINT64_C(0x6aa7bf2144e93aa4),
    UINT64_C(0x8c65c52ef523df48), UINT64_C(0x7bedefcf8aab528c), UINT64_C(0x2611ce69226ba3e6),
    UINT64_C(0xcb08800fbc7b07c8), UINT64_C(0x2f258bb0f87ee2e0), UINT64_C(0x26a4b04bb0e85b75),
    UINT64_C(0xb5c0f8454272b3ba), UINT64_C(0x5364d3a8bcc46035), UINT64_C(0x4ded61d75e10c93e),
    UINT64_C(0x87b62e78466c41af), UINT64_C(0xdc454b708ffe820a), UINT64_C(0x01c289a3baee8733),
    UINT64_C(0xe0bbdb298c96e1f5), UINT64_C(0x8525662c36319dbe), UINT64_C(0xe7870085b79f0c49),
    UINT64_C(0xcd0d1eb5dea99e6e), UINT64_C(0x6d1eb777270b7fe6), UINT64_C(0x6cc825a46d1dffac),
    UINT64_C(0x469000003bfb61c6), UINT64_C(0x4cc5ccd9aef1ad93), UINT64_C(0x71510ea43bfc5d45),
    UINT64_C(0x878ba2c5b13a005c), UINT64_C(0x5352d9c1febe9a61), UINT64_C(0x4b6c0bf240131e74),
    UINT64_C(0x3ea020a07e6ec7b3), UINT64_C(0x186b49125db2bed7), UINT64_C(0xaf04a2bbd33f3a89),
    UINT64_C(0x2aed6a4f412135b0), UINT64_C(0xe6319f8f95a59c99), UINT64_C(0x25f2dd49f574ce73),
    UINT64_C(0x89481e6ddddb1a22), UINT64_C(0xf79222bc0cc82977), UINT64_C(0x1ca2e756bf497b65),
    UINT64_C(0x8c7c6ddab05a9d5c), UINT64_C(0x34a8be8f1edb2b5b), UINT64_C(0x55c6da7db0578068),
    UINT64_C(0x3953b13fe4095a69), UINT64_C(0x707b2fff10cb1998), UINT64_C(0xa204687f75b5867b),
    UINT64_C(0xa9b6b9a2de2ec0dc), UINT64_C(0x300d713758a69359), UINT64_C(0xdecb432021b53694),
    UINT64_C(0xa5481cba67a42357), UINT64_C(0x84c82ee1dcde6466), UINT64_C(0x5fcc49ca9436bb4a),
    UINT64_C(0xe074a57e7b3dab02), UINT64_C(0x518e902c0c66c8d8), UINT64_C(0x74670fcae1ed4d72),
    UINT64_C(0xd5af9d2576e8a63e), UINT64_C(0xfe6a657ca60285b4), UINT64_C(0xd8440d71cb45601a),
    UINT64_C(0xa616d9efa5a5e6d4), UINT64_C(0x300eb21928159c5b), UINT64_C(0xe2a3236655131a95),
    UINT64_C(0x1d1583a10bb79472), UINT64_C(0x87c029fa141594f8), UINT64_C(0x95c16f90ea1435e8),
    UINT64_C(0x478127bd0b1e53f3), UINT64_C(0x44ea985615f73fa4), UINT64_C(0x7ba1709c8100c544),
    UINT64_C(0x83b406305c67a3af), UINT64_C(0x80b7ffefa1d7ce57), UINT64_C(0x04297cbfa9634c20),
    UINT64_C(0xfa8041bb3483a538), UINT64_C(0xbdaa30a3a8be3149), UINT64_C(0xf618a176d55c3202),
    UINT64_C(0x48197449270eaf4a), UINT64_C(0xe04be500a8a9f052), UINT64_C(0xd15367f18726ca74),
    UINT64_C(0x5ac6452d13c53b26), UINT64_C(0x2b1a671dd4f9b9d7), UINT64_C(0x22a4113d1761839b),
    UINT64_C(0x695c7f4d9eafed67), UINT64_C(0x11facb7364d4773a), UINT64_C(0x225a4d04687719d1),
    UINT64_C(0xa783e75f6f456344), UINT64_C(0xadf18292616598bc), UINT64_C(0x3b6d6156eefced30),
    UINT64_C(0x6ee870784e95a5a1), UINT64_C(0xf2789c8022c651a5), UINT64_C(0xe6e5d55f73968fc0),
    UINT64_C(0xeec7f85fd5b9cc6f), UINT64_C(0x727fed8aee04da00), UINT64_C(0xa514085605934dba),
    UINT64_C(0x8493950a6b38f293), UINT64_C(0xccc14d9eba976b45), UINT64_C(0xe31e064b1d60d367),
    UINT64_C(0xd78b5ec6f1ea45e7), UINT64_C(0x4d2795ce7d23d511), UINT64_C(0xe2a6548dee1a9c6d),
    UINT64_C(0xbb3820ac54a8fb18), UINT64_C(0xa1fba7e570af80f1), UINT64_C(0x76d96470e30ffa37),
    UINT64_C(0x26eb6ac32913ec72), UINT64_C(0x541b1be05fa9c868), UINT64_C(0x606f58b0671d8253),
    UINT64_C(0x98131477bb420c56), UINT64_C(0x13b6745a81a4b925), UINT64_C(0x3d4eede28268ebe7),
    UINT64_C(0x411ee30ff0fb401d), UINT64_C(0xc5c5a2d57e3088b7), UINT64_C(0xbc7f9b233ca98e12),
    UINT64_C(0xa47368e38ee9fee4), UINT64_C(0xde1a1641cf5aa29a), UINT64_C(0x4aaa71e852bcbc43),
    UINT64_C(0x6bdb208b3e1929c7), UINT64_C(0x750b51ebb900ec1e), UINT64_C(0x23c365e0aa155076),
    UINT64_C(0x2d781c9e6354c388), UINT64_C(0x0390064b592b06eb), UINT64_C(0xcb204b34ffc12c70),
    UINT64_C(0xc644d5be3c07aff7), UINT64_C(0x8a54309915f3ce7a), UINT64_C(0x686608ea86c9b27d),
    UINT64_C(0xec4288a562d1c9be), UINT64_C(0xb62225236277284c), UINT64_C(0x300e3d3b8cbaa9ce),
    UINT64_C(0xc64030bb337ae53c), UINT64_C(0x0941a6d289a9b146), UINT64_C(0xf0817ac58281fde9),
    UINT64_C(0xc672e9526c8c37e1), UINT64_C(0x9c0bf807f5e391a8), UINT64_C(0xff96fd20f30752d0),
    UINT64_C(0xf723cef601de2805), UINT64_C(0x9b7671fee3ff0149), UINT64_C(0x4d3b2c74ce132a68),
    UINT64_C(0xba2fd5b0dfb7162d), UINT64_C(0x9d83ec37e418bb27), UINT64_C(0xe3f110e413ae7281),
    UINT64_C(0xa055787749ed7b4f), UINT64_C(0xe4882de129354f6a), UINT64_C(0x284a9200e0433cf7),
    UINT64_C(0x87da6fad52435a1b), UINT64_C(0x4f1cb0b806e9f0ae), UINT64_C(0x99dc278b52d98072),
    UINT64_C(0xed00a84fcae45483), UINT64_C(0x7001fbfc5079d782), UINT64_C(0x1e21c7666c9c6fa2),
    UINT64_C(0x3042441b5c26b442), UINT64_C(0xe900cbc2fe0423d9), UINT64_C(0xa86814b9240786e1),
    UINT64_C(0x40e33973e60872d2), UINT64_C(0x75aa5c948e1fd2e3), UINT64_C(0x656cd53406dd90f8),
    UINT64_C(0x9d063cdee2a4713c), UINT64_C(0x5631282673f9b4e5), UINT64_C(0xd1fee58cdadba801),
    UINT64_C(0x6b8579a30170623b), UINT64_C(0x02dfdf998eb92770), UINT64_C(0xa25eb90ba09963f4),
    UINT64_C(0x9f08ec1fd1294665), UINT64_C(0xc572ed6477136be1), UINT64_C(0x5f9391aaed15092e),
    UINT64_C(0x37ef8c0580c95d68), UINT64_C(0x31e5eb9c84f0da4b), UINT64_C(0x5c9b40aa0f75506c),
    UINT64_C(0xc48fc5d95e415f2b), UINT64_C(0xee6b80956e4335fe), UINT64_C(0x5dd8bac2c43d4429),
    UINT64_C(0x64f057fa559942f8),
};
