"""Functions that a user's SQL may call: of values alone, always the same for the same arguments.

What reads files, tables or settings, tells of the machine, waits, or gives the present time is not here.
Source: the engine's ``system.functions``, of chDB 26.9.
"""

from __future__ import annotations

FUNCTIONS = frozenset(
    """
    abs accurateCast accurateCastOrDefault accurateCastOrNull acos acosh addDate addDays addHours addInterval
    addMicroseconds addMilliseconds addMinutes addMonths addNanoseconds addQuarters addSeconds addTupleOfIntervals
    addWeeks addYears age alphaTokens and appendTrailingCharIfAbsent array array_remove array_to_string arrayAll
    arrayAutocorrelation arrayAvg arrayBottomK arrayCompact arrayConcat arrayCount arrayCumSum
    arrayCumSumNonNegative arrayDifference arrayDistinct arrayDotProduct arrayElement arrayElementOrNull
    arrayEnumerate arrayEnumerateDense arrayEnumerateDenseRanked arrayEnumerateUniq arrayEnumerateUniqRanked
    arrayExcept arrayExists arrayFill arrayFilter arrayFirst arrayFirstIndex arrayFirstOrNull arrayFlatten
    arrayFlattenedLength arrayFold arrayIntersect arrayJaccardIndex arrayJoin arrayLast arrayLastIndex
    arrayLastOrNull arrayLevenshteinDistance arrayMap arrayMax arrayMin arrayNormalizedGini arrayPartialReverseSort
    arrayPartialSort arrayPopBack arrayPopFront arrayProduct arrayPushBack arrayPushFront arrayReduce
    arrayReduceInRanges arrayRemove arrayResize arrayReverse arrayReverseFill arrayReverseSort arrayReverseSplit
    arrayRotateLeft arrayRotateRight arrayShiftLeft arrayShiftRight arrayShingles arraySimilarity arraySlice
    arraySort arraySplit arrayStringConcat arraySum arraySymmetricDifference arrayTopK arrayTranspose arrayUnion
    arrayUniq arrayWithConstant arrayZip arrayZipUnaligned ascii asin asinh assumeNotNull atan atan2 atanh avg2
    base32Decode base32Encode base58Decode base58Encode base64Decode base64Encode base64URLDecode base64URLEncode
    basename bin bitAnd bitCount bitHammingDistance bitmaskToArray bitmaskToList bitNot bitOr bitPositionsToArray
    bitRotateLeft bitRotateRight bitShiftLeft bitShiftRight bitSlice bitTest bitTestAll bitTestAny bitXor
    byteHammingDistance byteSlice byteSwap CARDINALITY caseFoldUTF8 caseWithExpr caseWithExpression caseWithoutExpr
    caseWithoutExpression CAST cbrt ceil ceiling changeDay changeHour changeMinute changeMonth changeSecond
    changeYear char CHAR_LENGTH CHARACTER_LENGTH cityHash64 clamp coalesce compareSubstrings concat concat_ws
    concatAssumeInjective concatWithSeparator concatWithSeparatorAssumeInjective conv convertCharset cos cosh
    countEqual countMatches countMatchesCaseInsensitive countSubstrings countSubstringsCaseInsensitive
    countSubstringsCaseInsensitiveUTF8 CRC32 CRC32IEEE CRC64 cutFragment cutIPv6 cutQueryString
    cutQueryStringAndFragment cutToFirstSignificantSubdomain cutToFirstSignificantSubdomainCustom
    cutToFirstSignificantSubdomainCustomRFC cutToFirstSignificantSubdomainCustomWithWWW
    cutToFirstSignificantSubdomainCustomWithWWWRFC cutToFirstSignificantSubdomainRFC
    cutToFirstSignificantSubdomainWithWWW cutToFirstSignificantSubdomainWithWWWRFC cutURLParameter cutWWW
    damerauLevenshteinDistance DATE date_bin DATE_DIFF date_diff DATE_FORMAT DATE_TRUNC dateDiff dateName dateTrunc
    DAY DAYOFMONTH DAYOFWEEK DAYOFYEAR decodeHTMLComponent decodeURLComponent decodeURLFormComponent
    decodeXMLComponent degrees divide divideDecimal divideOrNull domain domainRFC domainWithoutWWW
    domainWithoutWWWRFC dotProduct e editDistance editDistanceUTF8 empty emptyArrayDate emptyArrayDateTime
    emptyArrayFloat32 emptyArrayFloat64 emptyArrayInt16 emptyArrayInt32 emptyArrayInt64 emptyArrayInt8
    emptyArrayString emptyArrayToSingle emptyArrayUInt16 emptyArrayUInt32 emptyArrayUInt64 emptyArrayUInt8
    encodeURLComponent encodeURLFormComponent encodeXMLComponent endsWith endsWithCaseInsensitive
    endsWithCaseInsensitiveUTF8 endsWithUTF8 equals erf erfc exists exp exp10 exp2 extract extractAll
    extractAllGroups extractAllGroupsHorizontal extractAllGroupsVertical extractGroups extractKeyValuePairs
    extractKeyValuePairsWithEscaping extractTextFromHTML extractURLParameter extractURLParameterNames
    extractURLParameters factorial farmFingerprint64 farmHash64 firstLine firstNonDefault firstSignificantSubdomain
    firstSignificantSubdomainCustom firstSignificantSubdomainCustomRFC firstSignificantSubdomainRFC flatten
    flattenTuple floor format FORMAT_BYTES formatDateTime formatReadableDecimalSize formatReadableQuantity
    formatReadableSize formatReadableTimeDelta fragment FROM_BASE64 FROM_DAYS FROM_UNIXTIME from_utc_timestamp
    fromDaysSinceYearZero fromDaysSinceYearZero32 fromModifiedJulianDay fromModifiedJulianDayOrNull
    fromUnixTimestamp fromUnixTimestamp64Micro fromUnixTimestamp64Milli fromUnixTimestamp64Nano
    fromUnixTimestamp64Second fromUTCTimestamp gccMurmurHash gcd greater greaterOrEquals greatest grouping halfMD5
    has hasAll hasAllToken hasAllTokens hasAny hasAnyToken hasAnyTokens hasPhrase hasSubsequence
    hasSubsequenceCaseInsensitive hasSubsequenceCaseInsensitiveUTF8 hasSubsequenceUTF8 hasSubstr hasToken
    hasTokenCaseInsensitive hasTokenCaseInsensitiveOrNull hasTokenOrNull hex hilbertDecode hilbertEncode hop hopEnd
    hopStart HOUR hypot identity if ifNotFinite ifNull ilike in indexOf indexOfAssumeSorted INET6_ATON INET6_NTOA
    INET_ATON INET_NTOA initcap initcapUTF8 instr intDiv intDivOrNull intDivOrZero intExp10 intExp2 intHash32
    intHash64 IPv4CIDRToRange IPv4NumToString IPv4NumToStringClassC IPv4StringToNum IPv4StringToNumOrDefault
    IPv4StringToNumOrNull IPv4ToIPv6 IPv6CIDRToRange IPv6NumToString IPv6StringToNum IPv6StringToNumOrDefault
    IPv6StringToNumOrNull isASCII isDistinctFrom isFinite isInfinite isIPAddressInRange isIPv4String isIPv6String
    isNaN isNotDistinctFrom isNotNull isNull isNullable isPrime isProbablePrime isValidASCII isValidJSON isValidUTF8
    isZeroOrNull jaroSimilarity jaroWinklerSimilarity javaHash javaHashUTF16LE JSON_ARRAY_LENGTH JSON_EXISTS
    JSON_QUERY JSON_VALUE JSONAllPaths JSONAllPathsWithTypes JSONAllValues JSONArrayLength JSONDynamicPaths
    JSONDynamicPathsWithTypes JSONExtract JSONExtractArrayRaw JSONExtractArrayRawCaseInsensitive JSONExtractBool
    JSONExtractBoolCaseInsensitive JSONExtractCaseInsensitive JSONExtractFloat JSONExtractFloatCaseInsensitive
    JSONExtractInt JSONExtractIntCaseInsensitive JSONExtractKeys JSONExtractKeysAndValues
    JSONExtractKeysAndValuesCaseInsensitive JSONExtractKeysAndValuesRaw JSONExtractKeysAndValuesRawCaseInsensitive
    JSONExtractKeysCaseInsensitive JSONExtractRaw JSONExtractRawCaseInsensitive JSONExtractString
    JSONExtractStringCaseInsensitive JSONExtractUInt JSONExtractUIntCaseInsensitive JSONHas JSONKey JSONLength
    JSONMergePatch jsonMergePatch JSONSharedDataPaths JSONSharedDataPathsWithTypes JSONType jumpConsistentHash
    kafkaMurmurHash keccak256 kostikConsistentHash lambda LAST_DAY lcase lcm least left leftPad leftPadUTF8 leftUTF8
    length lengthUTF8 less lessOrEquals levenshteinDistance levenshteinDistanceUTF8 lgamma like ln locate log log10
    log1p log2 lower lowerUTF8 lpad ltrim makeDate makeDate32 makeDateTime makeDateTime64 map MAP_FROM_ARRAYS mapAdd
    mapAll mapApply mapConcat mapContains mapContainsKey mapContainsKeyLike mapContainsValue mapContainsValueLike
    mapExists mapExtractKeyLike mapExtractValueLike mapFilter mapFromArrays mapFromString mapKeys
    mapPartialReverseSort mapPartialSort mapPopulateSeries mapReverseSort mapSort mapSubtract mapUpdate mapValues
    match matchCaseInsensitive matchPhrase max2 MD4 MD5 metroHash64 MICROSECOND mid midpoint MILLISECOND min2 minus
    MINUTE mismatches mod modOrNull modulo moduloOrNull moduloOrZero MONTH monthName mortonDecode mortonEncode
    multiFuzzyMatchAllIndices multiFuzzyMatchAny multiFuzzyMatchAnyIndex multiIf multiMatchAllIndices multiMatchAny
    multiMatchAnyIndex multiply multiplyDecimal multiSearchAllPositions multiSearchAllPositionsCaseInsensitive
    multiSearchAllPositionsCaseInsensitiveUTF8 multiSearchAllPositionsUTF8 multiSearchAny
    multiSearchAnyCaseInsensitive multiSearchAnyCaseInsensitiveUTF8 multiSearchAnyUTF8 multiSearchFirstIndex
    multiSearchFirstIndexCaseInsensitive multiSearchFirstIndexCaseInsensitiveUTF8 multiSearchFirstIndexUTF8
    multiSearchFirstPosition multiSearchFirstPositionCaseInsensitive multiSearchFirstPositionCaseInsensitiveUTF8
    multiSearchFirstPositionUTF8 murmurHash2_32 murmurHash2_64 murmurHash3_128 murmurHash3_32 murmurHash3_64
    NANOSECOND NATURAL_SORT_KEY naturalSortKey negate netloc ngramDistance ngramDistanceCaseInsensitive
    ngramDistanceCaseInsensitiveUTF8 ngramDistanceUTF8 ngrams ngramSearch ngramSearchCaseInsensitive
    ngramSearchCaseInsensitiveUTF8 ngramSearchUTF8 normalizeUTF8NFC normalizeUTF8NFD normalizeUTF8NFKC
    normalizeUTF8NFKCCasefold normalizeUTF8NFKD not notEmpty notEquals notHas notILike notIn notLike notMatch
    notMatchCaseInsensitive notNullIn nullIf nullIn OCTET_LENGTH or overlay overlayUTF8 parseDateTime
    parseDateTime32BestEffort parseDateTime32BestEffortOrNull parseDateTime32BestEffortOrZero parseDateTime64
    parseDateTime64BestEffort parseDateTime64BestEffortOrNull parseDateTime64BestEffortOrZero
    parseDateTime64BestEffortUS parseDateTime64BestEffortUSOrNull parseDateTime64BestEffortUSOrZero
    parseDateTime64OrNull parseDateTime64OrZero parseDateTimeBestEffort parseDateTimeBestEffortOrNull
    parseDateTimeBestEffortOrZero parseDateTimeBestEffortUS parseDateTimeBestEffortUSOrNull
    parseDateTimeBestEffortUSOrZero parseDateTimeOrNull parseDateTimeOrZero parseReadableSize
    parseReadableSizeOrNull parseReadableSizeOrZero parseTimeDelta path pathFull pi plus pmod pmodOrNull port
    portRFC position positionCaseInsensitive positionCaseInsensitiveUTF8 positionUTF8 positive_modulo
    positive_modulo_or_null positiveModulo positiveModuloOrNull pow power printf proportionsZTest protocol QUARTER
    queryString queryStringAndFragment radians range REGEXP_EXTRACT regexp_instr REGEXP_MATCHES REGEXP_REPLACE
    REGEXP_SUBSTR regexpExtract regexpInstr regexpPosition regexpQuoteMeta reinterpret removeAccentsUTF8
    removeDiacriticsUTF8 repeat replace replaceAll replaceOne replaceRegexpAll replaceRegexpOne replicate reverse
    reverseBySeparator reverseUTF8 right rightPad rightPadUTF8 rightUTF8 RIPEMD160 round roundAge roundBankers
    roundDown roundDuration roundToExp2 rpad rtrim SECOND SHA1 SHA224 SHA256 SHA384 SHA512 SHA512_256 sigmoid sign
    simpleJSONExtractBool simpleJSONExtractFloat simpleJSONExtractInt simpleJSONExtractRaw simpleJSONExtractString
    simpleJSONExtractUInt simpleJSONHas sin sinh sipHash128 sipHash128Keyed sipHash128Reference
    sipHash128ReferenceKeyed sipHash64 sipHash64Keyed soundex space splitByAlpha splitByChar splitByNonAlpha
    splitByRegexp splitByString splitByWhitespace sqidDecode sqidEncode sqr sqrt startsWith
    startsWithCaseInsensitive startsWithCaseInsensitiveUTF8 startsWithUTF8 str_to_date str_to_map stringBytesEntropy
    stringBytesUniq stringJaccardIndex stringJaccardIndexUTF8 subDate substr substring SUBSTRING_INDEX
    substringIndex substringIndexUTF8 substringUTF8 subtractDays subtractHours subtractInterval subtractMicroseconds
    subtractMilliseconds subtractMinutes subtractMonths subtractNanoseconds subtractQuarters subtractSeconds
    subtractTupleOfIntervals subtractWeeks subtractYears tan tanh tgamma time_bucket timeDiff timeSlot timeSlots
    TIMESTAMP_DIFF timestamp_diff timestampDiff timeZoneOf timezoneOf timeZoneOffset timezoneOffset TO_BASE64
    TO_DAYS TO_UNIXTIME to_utc_timestamp toBool toDate toDate32 toDate32OrDefault toDate32OrNull toDate32OrZero
    toDateOrDefault toDateOrNull toDateOrZero toDateTime toDateTime32 toDateTime64 toDateTime64OrDefault
    toDateTime64OrNull toDateTime64OrZero toDateTimeOrDefault toDateTimeOrNull toDateTimeOrZero toDayOfMonth
    toDayOfWeek toDayOfYear toDaysInMonth toDaysSinceYearZero toDecimal128 toDecimal128OrDefault toDecimal128OrNull
    toDecimal128OrZero toDecimal256 toDecimal256OrDefault toDecimal256OrNull toDecimal256OrZero toDecimal32
    toDecimal32OrDefault toDecimal32OrNull toDecimal32OrZero toDecimal64 toDecimal64OrDefault toDecimal64OrNull
    toDecimal64OrZero toDecimalString toFixedString toFloat32 toFloat32OrDefault toFloat32OrNull toFloat32OrZero
    toFloat64 toFloat64OrDefault toFloat64OrNull toFloat64OrZero toHour toInt128 toInt128OrDefault toInt128OrNull
    toInt128OrZero toInt16 toInt16OrDefault toInt16OrNull toInt16OrZero toInt256 toInt256OrDefault toInt256OrNull
    toInt256OrZero toInt32 toInt32OrDefault toInt32OrNull toInt32OrZero toInt64 toInt64OrDefault toInt64OrNull
    toInt64OrZero toInt8 toInt8OrDefault toInt8OrNull toInt8OrZero toIntervalDay toIntervalHour
    toIntervalMicrosecond toIntervalMillisecond toIntervalMinute toIntervalMonth toIntervalNanosecond
    toIntervalQuarter toIntervalSecond toIntervalWeek toIntervalYear toIPv4 toIPv4OrDefault toIPv4OrNull
    toIPv4OrZero toIPv6 toIPv6OrDefault toIPv6OrNull toIPv6OrZero toISOWeek toISOYear toJSONString tokens
    tokensForLikePattern toLastDayOfMonth toLastDayOfWeek toLowCardinality toMicrosecond toMillisecond toMinute
    toModifiedJulianDay toModifiedJulianDayOrNull toMonday toMonth toMonthNumSinceEpoch toNanosecond toNullable
    topLevelDomain topLevelDomainRFC toQuarter toRelativeDayNum toRelativeHourNum toRelativeMinuteNum
    toRelativeMonthNum toRelativeQuarterNum toRelativeSecondNum toRelativeWeekNum toRelativeYearNum toSecond
    toStartOfDay toStartOfFifteenMinutes toStartOfFiveMinute toStartOfFiveMinutes toStartOfHour toStartOfInterval
    toStartOfISOYear toStartOfMicrosecond toStartOfMillisecond toStartOfMinute toStartOfMonth toStartOfNanosecond
    toStartOfQuarter toStartOfSecond toStartOfTenMinutes toStartOfWeek toStartOfYear toString toStringCutToZero
    toTime toTime64 toTime64OrNull toTime64OrZero toTimeOrNull toTimeOrZero toTimeWithFixedDate toTimeZone
    toTimezone toTypeName toUInt128 toUInt128OrDefault toUInt128OrNull toUInt128OrZero toUInt16 toUInt16OrDefault
    toUInt16OrNull toUInt16OrZero toUInt256 toUInt256OrDefault toUInt256OrNull toUInt256OrZero toUInt32
    toUInt32OrDefault toUInt32OrNull toUInt32OrZero toUInt64 toUInt64OrDefault toUInt64OrNull toUInt64OrZero toUInt8
    toUInt8OrDefault toUInt8OrNull toUInt8OrZero toUnixTimestamp toUnixTimestamp64Micro toUnixTimestamp64Milli
    toUnixTimestamp64Nano toUnixTimestamp64Second toUTCTimestamp toUUID toUUIDOrZero toValidUTF8 toWeek toYear
    toYearNumSinceEpoch toYearWeek toYYYYMM toYYYYMMDD toYYYYMMDDhhmmss transform translate translateUTF8 trim
    trimBoth trimLeft trimRight trunc truncate tryBase32Decode tryBase58Decode tryBase64Decode tryBase64URLDecode
    tumble tumbleEnd tumbleStart tuple tupleConcat tupleDivide tupleElement tupleHammingDistance tupleIntDiv
    tupleIntDivOrZero tupleMinus tupleModulo tupleMultiply tupleNames tupleNegate tuplePlus tupleToNameValuePairs
    ucase unbin unhex unnest upper upperUTF8 URLHash URLHierarchy URLPathHierarchy visitParamExtractBool
    visitParamExtractFloat visitParamExtractInt visitParamExtractRaw visitParamExtractString visitParamExtractUInt
    visitParamHas week width_bucket widthBucket wyHash64 xor xxh3 xxh3_128 xxHash32 xxHash64 xxHash64Spark YEAR
    yearweek YYYYMMDDhhmmssToDateTime YYYYMMDDhhmmssToDateTime64 YYYYMMDDToDate YYYYMMDDToDate32
    """.lower().split()
)
"""Ordinary functions, in small letters, and what operators become."""

AGGREGATES = frozenset(
    """
    any any_respect_nulls any_value any_value_respect_nulls anyHeavy anyLast anyLast_respect_nulls
    anyLastRespectNulls anyRespectNulls anyValueRespectNulls approx_top_count approx_top_k approx_top_sum argAndMax
    argAndMin argMax argMin array_agg array_concat_agg avg avgWeighted BIT_AND BIT_OR BIT_XOR boundingRatio corr
    corrStable count COVAR_POP COVAR_SAMP covarPop covarPopStable covarSamp covarSampStable cume_dist deltaSum
    deltaSumTimestamp dense_rank denseRank entropy exponentialMovingAverage exponentialTimeDecayedAvg
    exponentialTimeDecayedCount exponentialTimeDecayedMax exponentialTimeDecayedSum first_value
    first_value_respect_nulls firstValueRespectNulls group_concat groupArray groupArrayInsertAt groupArrayIntersect
    groupArrayLast groupArrayMovingAvg groupArrayMovingSum groupArraySample groupArraySorted groupBitAnd groupBitmap
    groupBitmapAnd groupBitmapOr groupBitmapXor groupBitOr groupBitXor groupConcat groupUniqArray histogram
    intervalLengthSum kurtPop kurtSamp lag lagInFrame largestTriangleThreeBuckets last_value
    last_value_respect_nulls lastValueRespectNulls lead leadInFrame lttb max max_by maxIntersections
    maxIntersectionsPosition maxMappedArrays median medianBFloat16 medianBFloat16Weighted medianDD
    medianDeterministic medianExact medianExactHigh medianExactLow medianExactWeighted
    medianExactWeightedInterpolated medianGK medianInterpolatedWeighted medianTDigest medianTDigestWeighted
    medianTiming medianTimingWeighted min min_by minMappedArrays nonNegativeDerivative nth_value ntile percent_rank
    percentRank quantile quantileBFloat16 quantileBFloat16Weighted quantileDD quantileDeterministic quantileExact
    quantileExactExclusive quantileExactHigh quantileExactInclusive quantileExactLow quantileExactWeighted
    quantileExactWeightedInterpolated quantileGK quantileInterpolatedWeighted quantilePrometheusHistogram quantiles
    quantilesBFloat16 quantilesBFloat16Weighted quantilesDD quantilesDeterministic quantilesExact
    quantilesExactExclusive quantilesExactHigh quantilesExactInclusive quantilesExactLow quantilesExactWeighted
    quantilesExactWeightedInterpolated quantilesGK quantilesInterpolatedWeighted quantilesPrometheusHistogram
    quantilesTDigest quantilesTDigestWeighted quantilesTiming quantilesTimingWeighted quantileTDigest
    quantileTDigestWeighted quantileTiming quantileTimingWeighted rank rankCorr regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy retention row_number sequenceCount sequenceMatch
    sequenceMatchEvents simpleLinearRegression singleValueOrNull skewPop skewSamp sparkBar sparkbar STD STDDEV
    STDDEV_POP STDDEV_SAMP stddevPop stddevPopStable stddevSamp stddevSampStable string_agg sum sumCount sumKahan
    sumMapFiltered sumMapFilteredWithOverflow sumMappedArrays sumMapWithOverflow sumWithOverflow timeSeriesAvgToGrid
    timeSeriesChangesToGrid timeSeriesCountToGrid timeSeriesDeltaToGrid timeSeriesDerivToGrid timeSeriesGroupArray
    timeSeriesIncreaseToGrid timeSeriesInstantDeltaToGrid timeSeriesInstantRateToGrid timeSeriesLastToGrid
    timeSeriesLastTwoSamples timeSeriesMaxToGrid timeSeriesMinToGrid timeSeriesPredictLinearToGrid
    timeSeriesRateToGrid timeSeriesResampleToGridWithStaleness timeSeriesResetsToGrid timeSeriesSumToGrid
    timeSeriesTimestampOfMaxToGrid timeSeriesTimestampOfMinToGrid topK topKWeighted uniq uniqCombined uniqCombined64
    uniqExact uniqHLL12 uniqUpTo VAR_POP VAR_SAMP varPop varPopStable varSamp varSampStable windowFunnel
    """.lower().split()
)
"""Aggregate and window functions, in small letters."""

COMBINATORS = ("if", "array", "map", "ornull", "ordefault", "distinct", "argmin", "argmax", "foreach")
"""What may follow the name of an aggregate function."""
