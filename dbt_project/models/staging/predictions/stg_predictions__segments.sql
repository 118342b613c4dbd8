with source as (

    select * from {{ prediction_source('customer_segments') }}

),

final as (

    select
        customer_key,
        cast(release as {{ type_string() }}) as release,
        cast(segment_id as {{ type_string() }}) as segment_id,
        cast(segment_name as {{ type_string() }}) as segment_name,
        cast(segment_name_zh as {{ type_string() }}) as segment_name_zh,
        cast(runner_up_segment_id as {{ type_string() }}) as runner_up_segment_id,
        cast(value_tier as {{ type_string() }}) as value_tier,
        cast(life_cycle_stage as {{ type_string() }}) as life_cycle_stage,
        cast(life_cycle_stage_in_force as {{ type_string() }}) as life_cycle_stage_in_force,
        cast(loyalty_tier as {{ type_string() }}) as loyalty_tier,
        cast(payment_behaviour as {{ type_string() }}) as payment_behaviour,
        cast(channel_preference as {{ type_string() }}) as channel_preference,
        cast(leaving_reason_code as {{ type_string() }}) as leaving_reason_code,
        cast(potential_reason_code as {{ type_string() }}) as potential_reason_code,
        cast(segment_distance as double) as segment_distance,
        cast(segment_confidence as double) as segment_confidence,
        cast(leaving_probability as double) as leaving_probability,
        cast(potential_probability as double) as potential_probability,
        {{ month_number('as_of_month') }} as as_of_month_number,
        cast(as_of_month as date) as as_of_month
    from source

)

select * from final
