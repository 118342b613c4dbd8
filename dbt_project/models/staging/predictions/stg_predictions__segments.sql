with source as (

    select * from {{ prediction_source('customer_segments') }}

),

final as (

    select
        customer_key,
        cast(release as varchar) as release,
        cast(segment_id as varchar) as segment_id,
        cast(segment_name as varchar) as segment_name,
        cast(segment_name_zh as varchar) as segment_name_zh,
        cast(runner_up_segment_id as varchar) as runner_up_segment_id,
        cast(value_tier as varchar) as value_tier,
        cast(life_cycle_stage as varchar) as life_cycle_stage,
        cast(segment_distance as double) as segment_distance,
        cast(segment_confidence as double) as segment_confidence,
        {{ month_number('as_of_month') }} as as_of_month_number,
        cast(as_of_month as date) as as_of_month
    from source

)

select * from final
