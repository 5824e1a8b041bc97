"""The SQL macros of the warehouse: the scores, computed from the views alone.

They implement the formulas a second time, in another language; tests compare them with `model.scores.metrics` to 1e-9.
"""

from __future__ import annotations

AGGREGATES = r"""
CREATE MACRO ccc(x, y) AS
    2 * covar_pop(x::DOUBLE, y::DOUBLE) / nullif(
        var_pop(x::DOUBLE) FILTER (y IS NOT NULL) + var_pop(y::DOUBLE) FILTER (x IS NOT NULL)
        + pow(avg(x::DOUBLE) FILTER (y IS NOT NULL) - avg(y::DOUBLE) FILTER (x IS NOT NULL), 2), 0);
CREATE MACRO f1_binary(truth, predicted) AS
    2.0 * count(*) FILTER (truth AND predicted)
    / nullif(2 * count(*) FILTER (truth AND predicted) + count(*) FILTER (truth <> predicted), 0);
CREATE MACRO recording_of(video_id) AS
    regexp_replace(video_id, '^(video\d+)_\d+$|^(\d+-\d+-\d+x\d+)-\d+$', '\1\2');
"""
"""`ccc` is NULL where it is undefined, and `f1_binary` if neither truth nor prediction has a positive. Both ignore
pairs with a NULL. `recording_of` matches `data.annotations.splits`.
"""

TABLES = r"""
CREATE MACRO ccc_scores(version, in_dataset, in_split) AS TABLE
    WITH said AS (UNPIVOT predictions ON valence, arousal INTO NAME name VALUE predicted),
         labelled AS (UNPIVOT labels ON valence, arousal INTO NAME name VALUE truth),
         parts AS (
            SELECT recording_of(video_id) AS subject, video_id, 'ccc_' || name AS metric, ccc(predicted, truth) AS value
            FROM said JOIN labelled USING (track_id, video_id, frame_index, name) JOIN videos USING (video_id)
            WHERE model_version = version AND dataset = in_dataset AND split_va = in_split
            GROUP BY GROUPING SETS ((name), (name, subject), (name, subject, video_id))
            HAVING min(truth) < max(truth))
    FROM parts UNION ALL
    SELECT subject, video_id, 'ccc', avg(value) FROM parts GROUP BY ALL HAVING count(*) = 2;

CREATE MACRO expression_scores(version, in_dataset, in_split) AS TABLE
    WITH parts AS (
            SELECT recording_of(video_id) AS subject, video_id, 'f1_' || e.name AS metric,
                   coalesce(f1_binary(l.expression = e.expression, p.expression = e.expression), 0) AS value,
                   avg((l.expression = p.expression)::INT) AS share_right, any_value(edition) AS edition
            FROM predictions p JOIN labels l USING (track_id, video_id, frame_index) JOIN videos USING (video_id)
            JOIN expressions e ON e.expression < CASE edition WHEN '2022' THEN 8 ELSE 7 END
            WHERE model_version = version AND dataset = in_dataset AND split_expr = in_split
                  AND l.expression IS NOT NULL AND p.expression IS NOT NULL
            GROUP BY GROUPING SETS ((metric), (metric, subject), (metric, subject, video_id))),
         means AS (
            SELECT subject, video_id, avg(value) AS macro_f1, any_value(share_right) AS accuracy,
                   CASE any_value(edition) WHEN '2022' THEN 1 ELSE 0.67 END AS weight,
                   weight * macro_f1 + (1 - weight) * accuracy AS official
            FROM parts GROUP BY subject, video_id)
    SELECT subject, video_id, metric, value FROM parts UNION ALL
    SELECT subject, video_id, unnest(['expression_macro_f1', 'expression_accuracy', 'expression']),
           unnest([macro_f1, accuracy, official]) FROM means;

CREATE MACRO action_unit_scores(version, in_dataset, in_split) AS TABLE
    WITH said AS (UNPIVOT predictions ON COLUMNS('^au[0-9]+$') INTO NAME unit VALUE probability),
         labelled AS (UNPIVOT labels ON COLUMNS('^au[0-9]+$') INTO NAME unit VALUE truth),
         parts AS (
            SELECT recording_of(video_id) AS subject, video_id, 'f1_' || unit AS metric,
                   coalesce(f1_binary(truth, probability > 0.5), 0) AS value,
                   count(*) FILTER (truth = (probability > 0.5)) AS num_right, count(*) AS num_cells,
                   any_value(edition) AS edition
            FROM said JOIN labelled USING (track_id, video_id, frame_index, unit) JOIN videos USING (video_id)
            WHERE model_version = version AND dataset = in_dataset AND split_au = in_split
            GROUP BY GROUPING SETS ((metric), (metric, subject), (metric, subject, video_id))),
         means AS (
            SELECT subject, video_id, avg(value) AS mean_f1, sum(num_right) / sum(num_cells) AS accuracy,
                   CASE any_value(edition) WHEN '2022' THEN 1 ELSE 0.5 END AS weight,
                   weight * mean_f1 + (1 - weight) * accuracy AS official
            FROM parts GROUP BY subject, video_id)
    SELECT subject, video_id, metric, value FROM parts UNION ALL
    SELECT subject, video_id, unnest(['action_units_mean_f1', 'action_units_accuracy', 'action_units']),
           unnest([mean_f1, accuracy, official]) FROM means;

CREATE MACRO pooled_scores(version, in_dataset, in_split) AS TABLE
    WITH parts AS (
        FROM ccc_scores(version, in_dataset, in_split) UNION ALL
        FROM expression_scores(version, in_dataset, in_split) UNION ALL
        FROM action_unit_scores(version, in_dataset, in_split))
    FROM parts UNION ALL
    SELECT subject, video_id, 'total', sum(value) FROM parts
    WHERE metric IN ('ccc', 'expression', 'action_units') GROUP BY ALL HAVING count(*) = 3;
"""
"""Every score of a model version on a split of a data set: over all frames (no `subject`, no `video_id`), for each
subject, and for each video. They read `predictions`, `labels`, and from `videos` the data set of each video.
"""
