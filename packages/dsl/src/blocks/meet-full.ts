export type FullMeet<_L, _LC, _R, _RC> = "clash";
